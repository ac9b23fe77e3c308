import { expect, test, vi } from "vitest";
import { Tabs } from "../src/player/tabs";

test("tabs on one session know of each other, and the last one knows that it is", async () => {
  const first = new Tabs("s-1");
  const other = new Tabs("s-2");
  expect(first.alone).toBe(true);
  const second = new Tabs("s-1");
  await vi.waitFor(() => {
    expect([first.alone, second.alone]).toEqual([false, false]);
  });
  second.close();
  await vi.waitFor(() => {
    expect(first.alone).toBe(true);
  });
  expect(other.alone).toBe(true);
  first.close();
  other.close();
});
