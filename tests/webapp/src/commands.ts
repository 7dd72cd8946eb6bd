/**
 * What the tests may ask of the npm client. Each command takes and returns plain JSON; a queue is named in every one.
 */

import type {
  FlowJob,
  FlowProducer,
  Job,
  JobsOptions,
  JobState,
  JobType,
  Queue,
  QueueEvents,
  RepeatOptions,
  WorkerOptions,
} from "bullmq";
import { Redis } from "ioredis";

import type { Bullmq } from "./bullmq-version.js";
import {
  JobQueueService,
  type PaperJob,
  type RedisAddress,
  redisFromEnv,
} from "./job-queue-service.js";
import { Oracle } from "./oracle.js";

interface NewJob {
  name: string;
  data: unknown;
  opts?: JobsOptions;
}

interface NewScheduler {
  queue: string;
  schedulerId: string;
  repeat: RepeatOptions;
  template: NewJob;
}

interface NewPaper {
  method: ServiceMethod;
  paperId: string;
  arxivUrl: string;
}

interface OneJob {
  queue: string;
  jobId: string;
}

type ServiceMethod = Extract<keyof JobQueueService, `queue${string}`>;

const STATES: JobType[] = ["waiting", "active", "delayed", "prioritized", "completed", "failed", "waiting-children"];

export class Commands {
  readonly #bullmq: Bullmq;
  readonly #options: { connection: RedisAddress; prefix: string };
  readonly #queues = new Map<string, Queue>();
  readonly #events = new Map<string, QueueEvents>();
  readonly #oracles = new Map<string, Oracle>();
  readonly #serviceJobs = new Map<string, PaperJob>();
  #flows: FlowProducer | undefined;
  #service: JobQueueService | undefined;

  constructor(bullmq: Bullmq, prefix: string) {
    this.#bullmq = bullmq;
    this.#options = { connection: redisFromEnv(), prefix };
  }

  // --- producing

  async add({ queue, name, data, opts }: NewJob & { queue: string }): Promise<string | undefined> {
    return (await this.#queue(queue).add(name, data, opts)).id;
  }

  async addBulk({ queue, jobs }: { queue: string; jobs: NewJob[] }): Promise<(string | undefined)[]> {
    return (await this.#queue(queue).addBulk(jobs)).map((job) => job.id);
  }

  async addFlow({ flow }: { flow: FlowJob }): Promise<string | undefined> {
    this.#flows ??= new this.#bullmq.FlowProducer(this.#options);
    return (await this.#flows.add(flow)).job.id;
  }

  async upsertJobScheduler({ queue, schedulerId, repeat, template }: NewScheduler): Promise<string | undefined> {
    return (await this.#queue(queue).upsertJobScheduler(schedulerId, repeat, template))?.id;
  }

  removeJobScheduler({ queue, schedulerId }: { queue: string; schedulerId: string }): Promise<boolean> {
    return this.#queue(queue).removeJobScheduler(schedulerId);
  }

  /** When patterns are due next, as the workers of this version reckon: Unix ms. */
  async dueTimes({ rows }: { rows: { pattern: string; tz: string; after: number }[] }): Promise<unknown[]> {
    const reckon = this.#bullmq.defaultRepeatStrategy;
    return Promise.all(rows.map(({ pattern, tz, after }) => reckon(after, { pattern, tz })));
  }

  /** The next one's date, for each of the queue's schedulers. */
  async jobSchedulers({ queue }: { queue: string }): Promise<object[]> {
    return (await this.#queue(queue).getJobSchedulers()).map(({ key, next }) => ({ key, next }));
  }

  // --- the web app's own service

  async service({ method, paperId, arxivUrl }: NewPaper): Promise<OneJob> {
    this.#service ??= new JobQueueService(this.#options);
    const job = await this.#service[method](paperId, arxivUrl);
    const jobId = job.id ?? "";
    this.#serviceJobs.set(`${job.queueName} ${jobId}`, job);
    return { queue: job.queueName, jobId };
  }

  /** Rejects with the job's failedReason, as the web app sees it. */
  async serviceWait({ queue, jobId, timeoutMs }: OneJob & { timeoutMs: number }): Promise<unknown> {
    const job = this.#serviceJobs.get(`${queue} ${jobId}`);
    if (job === undefined || this.#service === undefined) {
      throw new Error(`the service queued no job ${jobId} on ${queue}`);
    }
    return this.#service.waitUntilFinished(job, timeoutMs);
  }

  // --- looking

  /** Rejects with the job's failedReason. */
  async wait({ queue, jobId, timeoutMs }: OneJob & { timeoutMs: number }): Promise<unknown> {
    const events = this.#eventsOf(queue);
    await events.waitUntilReady();
    return (await this.#job({ queue, jobId })).waitUntilFinished(events, timeoutMs);
  }

  /** Null when the job does not exist (any more). */
  async inspect({ queue, jobId }: OneJob): Promise<object | null> {
    const job = await this.#queue(queue).getJob(jobId);
    if (job === undefined) {
      return null;
    }
    const logs = await this.#queue(queue).getJobLogs(jobId);
    return {
      id: job.id,
      name: job.name,
      data: job.data,
      opts: job.opts,
      state: await job.getState(),
      returnvalue: job.returnvalue,
      failedReason: job.failedReason ?? null,
      stacktrace: job.stacktrace,
      attemptsMade: job.attemptsMade,
      attemptsStarted: job.attemptsStarted,
      stalledCounter: job.stalledCounter,
      progress: job.progress,
      logs: logs.logs,
      delay: job.delay,
      priority: job.priority,
      processed: job.processedOn !== undefined,
      finished: job.finishedOn !== undefined,
    };
  }

  /** Every event of the queue since it exists, in order, as `QueueEvents` tells them. */
  async events({ queue }: { queue: string }): Promise<object[]> {
    const redis = new Redis(this.#options.connection);
    const [last] = await redis.xrevrange(`${this.#options.prefix}:${queue}:events`, "+", "-", "COUNT", 1);
    redis.disconnect();
    return last === undefined ? [] : this.#replay(queue, last[0]);
  }

  /** What a parent sees of its children. */
  async children({ queue, jobId }: OneJob): Promise<object> {
    const job = await this.#job({ queue, jobId });
    return {
      values: await job.getChildrenValues(),
      ignored: await job.getIgnoredChildrenFailures(),
      counts: await job.getDependenciesCount(),
    };
  }

  async counts({ queue }: { queue: string }): Promise<Record<string, number>> {
    return this.#queue(queue).getJobCounts(...STATES);
  }

  /** Ids in the order in which BullMQ lists them. */
  async jobIds({ queue, state }: { queue: string; state: JobState }): Promise<(string | undefined)[]> {
    return (await this.#queue(queue).getJobs([state], 0, -1, true)).map((job) => job?.id);
  }

  // --- steering

  async pause({ queue }: { queue: string }): Promise<void> {
    await this.#queue(queue).pause();
  }

  async resume({ queue }: { queue: string }): Promise<void> {
    await this.#queue(queue).resume();
  }

  async setGlobalConcurrency({ queue, concurrency }: { queue: string; concurrency: number }): Promise<void> {
    await this.#queue(queue).setGlobalConcurrency(concurrency);
  }

  async removeGlobalConcurrency({ queue }: { queue: string }): Promise<void> {
    await this.#queue(queue).removeGlobalConcurrency();
  }

  async setGlobalRateLimit(limit: { queue: string; max: number; durationMs: number }): Promise<void> {
    await this.#queue(limit.queue).setGlobalRateLimit(limit.max, limit.durationMs);
  }

  async removeGlobalRateLimit({ queue }: { queue: string }): Promise<void> {
    await this.#queue(queue).removeGlobalRateLimit();
  }

  async retry({ queue, jobId, state, opts }: OneJob & { state?: "completed" | "failed"; opts?: object }): Promise<void> {
    await (await this.#job({ queue, jobId })).retry(state ?? "failed", opts);
  }

  async promote({ queue, jobId }: OneJob): Promise<void> {
    await (await this.#job({ queue, jobId })).promote();
  }

  async promoteJobs({ queue }: { queue: string }): Promise<void> {
    await this.#queue(queue).promoteJobs();
  }

  async retryJobs({ queue, state }: { queue: string; state: "completed" | "failed" }): Promise<void> {
    await this.#queue(queue).retryJobs({ state });
  }

  async changePriority({ queue, jobId, priority }: OneJob & { priority: number }): Promise<void> {
    await (await this.#job({ queue, jobId })).changePriority({ priority });
  }

  async rateLimit({ queue, ms }: { queue: string; ms: number }): Promise<void> {
    await this.#queue(queue).rateLimit(ms);
  }

  async drain({ queue, delayed }: { queue: string; delayed?: boolean }): Promise<void> {
    await this.#queue(queue).drain(delayed);
  }

  /** 1 when removed, 0 when the job is locked. */
  async remove({ queue, jobId }: OneJob): Promise<number> {
    return this.#queue(queue).remove(jobId);
  }

  async obliterate({ queue, force }: { queue: string; force: boolean }): Promise<void> {
    await this.#queue(queue).obliterate({ force });
  }

  // --- the oracle

  async startWorker({ queue, opts }: { queue: string; opts?: Partial<WorkerOptions> }): Promise<void> {
    if (this.#oracles.has(queue)) {
      throw new Error(`queue ${queue} has a worker already`);
    }
    const oracle = new Oracle(this.#bullmq, queue, { ...this.#options, drainDelay: 1, ...opts });
    this.#oracles.set(queue, oracle);
    await oracle.ready();
  }

  /** Waits for the jobs that it runs now; tells what it ran. */
  async stopWorker({ queue }: { queue: string }): Promise<{ runs: string[]; errors: string[] }> {
    const oracle = this.#oracles.get(queue);
    if (oracle === undefined) {
      throw new Error(`queue ${queue} has no worker`);
    }
    this.#oracles.delete(queue);
    await oracle.close();
    return { runs: oracle.runs, errors: oracle.errors };
  }

  // --- not a command

  async close(): Promise<void> {
    await Promise.all([...this.#oracles.values()].map((oracle) => oracle.close()));
    const open = [...this.#events.values(), ...this.#queues.values(), this.#flows, this.#service];
    await Promise.all(open.map((connection) => connection?.close()));
  }

  async #job({ queue, jobId }: OneJob): Promise<Job> {
    const job = await this.#queue(queue).getJob(jobId);
    if (job === undefined) {
      throw new Error(`queue ${queue} has no job ${jobId}`);
    }
    return job;
  }

  #queue(name: string): Queue {
    let queue = this.#queues.get(name);
    if (queue === undefined) {
      queue = new this.#bullmq.Queue(name, this.#options);
      queue.on("error", logError);
      this.#queues.set(name, queue);
    }
    return queue;
  }

  #eventsOf(name: string): QueueEvents {
    let events = this.#events.get(name);
    if (events === undefined) {
      events = new this.#bullmq.QueueEvents(name, this.#options);
      events.on("error", logError);
      this.#events.set(name, events);
    }
    return events;
  }

  async #replay(queue: string, lastId: string): Promise<object[]> {
    const seen: object[] = [];
    const events = new this.#bullmq.QueueEvents(queue, { ...this.#options, lastEventId: "0-0", autorun: false });
    const emit = events.emit.bind(events) as (event: string, ...args: unknown[]) => boolean;
    await new Promise<void>((resolve, reject) => {
      // Listeners must name their event; only `emit` sees the order of all of them.
      events.emit = ((event: string, ...args: unknown[]) => {
        const id = args.at(-1);
        if (typeof id === "string" && !event.includes(":")) {
          seen.push({ event, ...(args.length > 1 ? (args[0] as object) : {}) });
          if (id === lastId) {
            resolve();
          }
        }
        return emit(event, ...args);
      }) as typeof events.emit;
      events.on("error", reject);
      events.run().catch(reject);
    });
    await events.close();
    return seen;
  }
}

function logError(error: Error): void {
  console.error(error.message);
}
