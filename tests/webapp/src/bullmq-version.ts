/** BullMQ 6 is what the web app uses; jobs that a BullMQ 5 client added must work as well. */

export type Bullmq = typeof import("bullmq");

export async function loadBullmq(major: string): Promise<Bullmq> {
  switch (major) {
    case "6":
      return import("bullmq");
    case "5":
      // The two declare their classes apart; what the driver uses of them has one shape.
      return (await import("bullmq5")) as unknown as Bullmq;
    default:
      throw new Error(`no BullMQ ${major} is installed: use 5 or 6`);
  }
}
