/**
 * What a web app has without PaperJobs: a BullMQ producer and stock workers, which tell when things happened.
 * `node stock.mjs WEBAPP_DIR`, with REDIS_HOST and REDIS_PORT. One JSON request a line on stdin; answers on stdout.
 *
 * Times are CLOCK_MONOTONIC in nanoseconds, as Python's time.monotonic_ns() gives them on the same machine.
 */

import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";

const { Queue, Worker } = createRequire(join(resolve(process.argv[2]), "package.json"))("bullmq");
const connection = { host: process.env.REDIS_HOST, port: Number(process.env.REDIS_PORT) };
const queues = new Map();

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
const now = () => process.hrtime.bigint().toString();

const commands = {
  /** `at` is the moment at which queue.add is called. */
  async add({ queue, data, options }) {
    if (!queues.has(queue)) {
      queues.set(queue, new Queue(queue, { connection }));
      await queues.get(queue).waitUntilReady();
    }
    const at = now();
    const job = await queues.get(queue).add("paper", data, options);
    return { at, added: now(), jobId: job.id };
  },

  /** Start a worker with default settings; each job that reaches its processor is told as an event. */
  async work({ queue }) {
    const worker = new Worker(queue, async (job) => say({ event: "picked", queue, jobId: job.id, at: now() }), {
      connection,
    });
    worker.on("error", (error) => console.error(error.message));
    await worker.waitUntilReady();
    return {};
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { id, command, ...args } = JSON.parse(line);
  commands[command](args).then(
    (result) => say({ id, result }),
    (error) => say({ id, error: error.message }),
  );
}
process.exit(0);
