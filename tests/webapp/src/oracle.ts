/**
 * The oracle: a stock BullMQ worker whose processor does what the job's own data says. What it leaves behind in Redis
 * is what PaperJobs must leave behind too.
 */

import type { Job, Worker, WorkerOptions } from "bullmq";

import type { Bullmq } from "./bullmq-version.js";

/** What one run of a job does, in this order. */
export interface Step {
  progress?: (number | object | string)[];
  logs?: string[];
  /** How long the run takes. */
  ms?: number;
  then: "complete" | "fail" | "unrecoverable" | "rate-limit";
  /** With "complete": the return value. */
  result?: unknown;
  /** With "fail" and "unrecoverable". */
  message?: string;
}

/** A job's data: the n-th run does the n-th step; the last step serves all later runs. */
export interface Script {
  steps: Step[];
}

export class Oracle {
  /** Ids of the jobs that were run, in order; a job that runs twice is there twice. */
  readonly runs: string[] = [];
  readonly errors: string[] = [];
  readonly #worker: Worker;

  constructor(bullmq: Bullmq, queue: string, options: WorkerOptions) {
    this.#worker = new bullmq.Worker<Script>(queue, (job) => this.#run(bullmq, job), options);
    this.#worker.on("error", (error) => this.errors.push(error.message));
  }

  ready(): Promise<unknown> {
    return this.#worker.waitUntilReady();
  }

  close(): Promise<void> {
    return this.#worker.close();
  }

  async #run(bullmq: Bullmq, job: Job<Script>): Promise<unknown> {
    this.runs.push(job.id ?? "");
    const steps = job.data.steps;
    const step = steps[Math.min(job.attemptsStarted, steps.length) - 1];
    if (step === undefined) {
      throw new bullmq.UnrecoverableError("the job's data has no steps");
    }
    for (const progress of step.progress ?? []) {
      await job.updateProgress(progress);
    }
    for (const row of step.logs ?? []) {
      await job.log(row);
    }
    if (step.ms) {
      await new Promise((resolve) => setTimeout(resolve, step.ms));
    }
    switch (step.then) {
      case "complete":
        return step.result;
      case "fail":
        throw new Error(step.message);
      case "unrecoverable":
        throw new bullmq.UnrecoverableError(step.message);
      case "rate-limit":
        throw new bullmq.RateLimitError();
    }
  }
}
