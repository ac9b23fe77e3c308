import { expect, test } from "vitest";
import { problemOf, Refused } from "../src/problem";

test("a problem document is read as it is", async () => {
  const body = JSON.stringify({ title: "Over a limit", detail: "per viewer", status: 429 });
  const problem = await problemOf(new Response(body, { status: 429, headers: { "Retry-After": "7" } }));
  expect(problem).toEqual({ title: "Over a limit", detail: "per viewer", status: 429, retry_after_s: 7 });
  expect(new Refused(problem).message).toBe("Over a limit: per viewer");
});

test.each(["<html>Bad gateway</html>", "[]", "null", '{"title": 3}', ""])(
  "whatever else came is named by its status: %s",
  async (body) => {
    expect(await problemOf(new Response(body, { status: 502 }))).toEqual({ title: "The server answered 502", status: 502 });
  },
);
