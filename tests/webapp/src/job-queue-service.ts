/**
 * Queues work about arXiv papers. This takes the place of `setImmediate(() => extractInstitutions(paper))`: the work
 * survives a restart of the web app, runs under the limits that PaperJobs enforces, and is tried again when it fails.
 *
 * One instance serves the whole web app; make it at start-up, `close()` it at shutdown.
 */

import { type ConnectionOptions, type Job, type JobsOptions, Queue, QueueEvents } from "bullmq";

/** The queues that PaperJobs serves; the names are those of the `PaperQueue` objects' `spec.queue`. */
export const QUEUE_NAMES = ["institution-extraction", "author-extraction", "llm-processing", "auto-tagging"] as const;

export type QueueName = (typeof QUEUE_NAMES)[number];

/** The payload of every job. */
export interface PaperTask {
  paperId: string;
  arxivUrl: string;
}

/** What a finished job returns. It is small: the whole result is in the database, under the paper's id. */
export type PaperResult = Record<string, unknown> | null;

/** A job that was queued. `queueName` and `id` are all that is needed to find it again later. */
export type PaperJob = Job<PaperTask, PaperResult>;

export interface JobQueueServiceOptions {
  /** Where Redis is; `redisFromEnv()` reads it from the environment. */
  connection: ConnectionOptions;
  /** BullMQ's key prefix; must equal the `PaperQueue` objects' `spec.prefix`. */
  prefix?: string;
  /** Told about connection trouble, which BullMQ repairs by itself. */
  onError?: (error: Error) => void;
}

/** Three attempts, 5 s and then 10 s apart. The last 1,000 finished jobs are kept for a day, failed ones for a week. */
export const JOB_OPTIONS = {
  attempts: 3,
  backoff: { type: "exponential", delay: 5_000 },
  removeOnComplete: { age: 24 * 3600, count: 1_000 },
  removeOnFail: { age: 7 * 24 * 3600 },
} as const satisfies JobsOptions;

export interface RedisAddress {
  host: string;
  port: number;
  password?: string;
}

/** Read REDIS_HOST, REDIS_PORT and REDIS_PASSWORD, the names that PaperJobs reads too. */
export function redisFromEnv(env: NodeJS.ProcessEnv = process.env): RedisAddress {
  const port = Number(env.REDIS_PORT ?? 6379);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new Error(`REDIS_PORT is not a port number: ${env.REDIS_PORT}`);
  }
  const password = env.REDIS_PASSWORD ? { password: env.REDIS_PASSWORD } : {};
  return { host: env.REDIS_HOST ?? "localhost", port, ...password };
}

export class JobQueueService {
  readonly #bullmqOptions: { connection: ConnectionOptions; prefix: string };
  readonly #onError: (error: Error) => void;
  readonly #queues = new Map<QueueName, Queue<PaperTask, PaperResult>>();
  readonly #events = new Map<QueueName, QueueEvents>();

  constructor({ connection, prefix = "bull", onError = logError }: JobQueueServiceOptions) {
    this.#bullmqOptions = { connection, prefix };
    this.#onError = onError;
  }

  queueInstitutionExtraction(paperId: string, arxivUrl: string): Promise<PaperJob> {
    return this.#add("institution-extraction", { paperId, arxivUrl });
  }

  queueAuthorExtraction(paperId: string, arxivUrl: string): Promise<PaperJob> {
    return this.#add("author-extraction", { paperId, arxivUrl });
  }

  queueLlmProcessing(paperId: string, arxivUrl: string): Promise<PaperJob> {
    return this.#add("llm-processing", { paperId, arxivUrl });
  }

  queueAutoTagging(paperId: string, arxivUrl: string): Promise<PaperJob> {
    return this.#add("auto-tagging", { paperId, arxivUrl });
  }

  /**
   * Wait for a job's end: resolves with its result, rejects with its failure once no attempt is left, or after
   * `timeoutMs`. Not needed for the work to be done; a web request should rather answer with the job's id.
   */
  async waitUntilFinished(job: PaperJob, timeoutMs?: number): Promise<PaperResult> {
    const events = this.#eventsOf(job.queueName as QueueName);
    await events.waitUntilReady();
    return job.waitUntilFinished(events, timeoutMs);
  }

  /** Give the connections back. Jobs that were queued stay queued. */
  async close(): Promise<void> {
    const open = [...this.#events.values(), ...this.#queues.values()];
    this.#events.clear();
    this.#queues.clear();
    await Promise.all(open.map((connection) => connection.close()));
  }

  /** A paper that still waits or runs in this queue is not queued twice: the earlier job is returned. */
  #add(name: QueueName, task: PaperTask): Promise<PaperJob> {
    return this.#queueOf(name).add(name, task, { ...JOB_OPTIONS, deduplication: { id: task.paperId } });
  }

  /** One connection for each queue, opened at its first use. */
  #queueOf(name: QueueName): Queue<PaperTask, PaperResult> {
    let queue = this.#queues.get(name);
    if (queue === undefined) {
      queue = new Queue<PaperTask, PaperResult>(name, this.#bullmqOptions);
      queue.on("error", this.#onError);
      this.#queues.set(name, queue);
    }
    return queue;
  }

  #eventsOf(name: QueueName): QueueEvents {
    let events = this.#events.get(name);
    if (events === undefined) {
      events = new QueueEvents(name, this.#bullmqOptions);
      events.on("error", this.#onError);
      this.#events.set(name, events);
    }
    return events;
  }
}

function logError(error: Error): void {
  console.error("job queue:", error.message);
}
