import { expect, test } from "vitest";
import { losses } from "../../src/console/admin/Channels";
import {
  bodyOf,
  changed,
  CHANNEL,
  known,
  NEW_CHANNEL,
  POLICY,
  PROVIDER,
  sourceFields,
  valuesOf,
} from "../../src/console/admin/fields";
import { faultOf, ofCode, ofDecoder } from "../../src/console/admin/refusal";
import { isFull, told, UNUSED, usesOf } from "../../src/console/admin/use";
import { EMPTY, loaded, removed } from "../../src/console/state";
import { channel, overview, session, source } from "./overview";

const refusal = (field: string, reason: string) => ({
  title: "Invalid input",
  status: 422,
  field,
  detail: `${field}: ${reason}`,
});

test.each([
  ["Expected `str` of length <= 200", "This is too long: 200 characters at most."],
  ["Expected `object` of length <= 32", "This is too long: 32 entries at most."],
  ["Expected `str` of length >= 1", "This cannot be empty."],
  ["Expected `int` <= 1000000", "1,000,000 at most."],
  ["Expected `float` >= 1.0", "1 at least."],
  ["Expected `int | null`, got `float`", "This must be a whole number."],
  ["Expected `float`, got `null`", "This must be a number."],
  ["a channel has at most 64 sources", "A channel has at most 64 sources."],
])("%s: %s", (reason, said) => {
  expect(ofDecoder(reason)).toBe(said);
});

test.each([
  [{ code: "characters" }, "It is empty, or has a space or a character that is not allowed here."],
  [{ code: "scheme", allowed: ["http", "https", "rtmp"] }, "The address must begin with http://, https:// or rtmp://."],
  [{ code: "scheme", allowed: ["http"] }, "The address must begin with http://."],
  [{ code: "no-host" }, "The address has no host. It must look like http://host/path."],
  [{ code: "not-an-address" }, "This is not an address."],
  [{ code: "no-provider" }, "This provider does not exist any more."],
  [{ code: "of-a-later-release" }, undefined],
  [{}, undefined],
])("the text of %o", (members, text) => {
  expect(ofCode({ title: "Invalid input", status: 422, detail: "url: whatever the API writes", ...members })).toBe(text);
});

test("a refusal finds its field by the path of the API's document", () => {
  const names = ["name", "policy.failback_stable_s", "headers", "sources"];
  expect(faultOf(refusal("policy.failback_stable_s", "Expected `float` >= 1.0"), names)).toEqual({
    field: "policy.failback_stable_s",
    text: "1 at least.",
  });
  expect(faultOf({ ...refusal("sources[1].url", "whatever the API writes"), code: "no-host" }, names).text).toMatch(
    /^Address 2: the address has no host/,
  );
  expect(faultOf({ ...refusal("headers", "no good"), code: "of-a-later-release" }, names).text).toBe("No good.");
  expect(faultOf(refusal("headers", "Expected `str` of length <= 64"), names).field).toBe("headers");
  expect(faultOf(refusal("slug", "Expected `str`, got `int`"), names)).toEqual({
    field: null,
    text: "slug: Expected `str`, got `int`.",
  });
});

test("what is about no field is said for the whole form", () => {
  expect(faultOf({ title: "Already exists", status: 409 }, ["name"], "name").field).toBe("name");
  expect(faultOf({ title: "Already exists", status: 409, detail: "a channel" }, ["name"]).text).toBe(
    "Already exists: a channel.",
  );
  expect(faultOf({ title: "The server does not answer", status: 0 }, []).text).toMatch(/Nothing has been changed/);
  expect(faultOf({ title: "Not found", status: 404 }, []).text).toMatch(/deleted it in the meantime/);
  expect(faultOf({ title: "The database does not answer", status: 503 }, []).text).toBe("The database does not answer.");
});

test("a document becomes a form and the form a document again", () => {
  const policy = { profile: "copy", sharing: "viewer", failback: "never", failback_stable_s: 60, slate: false };
  const document = { name: "News", number: 7, group: null, logo: null, policy };
  const fields = [...CHANNEL, ...known(POLICY, document)];
  expect(fields.map((field) => field.name)).not.toContain("policy.hevc"); // this API has none
  expect(known(POLICY, { policy: { ...policy, hevc: "copy" } })).toHaveLength(POLICY.length);
  const values = valuesOf(fields, document);
  expect(bodyOf(fields, values)).toEqual({ body: document, faults: [] });
  const after = { ...values, name: " World news ", number: "", "policy.failback_stable_s": "2,5" };
  expect(changed(fields, values, after, bodyOf(fields, after).body)).toEqual({
    name: "World news",
    number: null,
    policy: { failback_stable_s: 2.5 },
  });
  expect(changed(fields, values, values, document)).toEqual({});
  const read = (text: string) => bodyOf(PROVIDER, { name: "Acme", max_connections: text }).body["max_connections"];
  expect(["86,400", "1,234,567", "2,5", "0,125", "1000"].map(read)).toEqual([86400, 1234567, 2.5, 0.125, 1000]);
});

test("headers, addresses and numbers as a person writes them", () => {
  const fields = sourceFields([["p-1", "Acme"]]);
  const values = valuesOf(fields, { url: "http://a.test/", headers: { Referer: "http://r.test:80/" }, provider_id: null });
  expect(values["headers"]).toBe("Referer: http://r.test:80/");
  expect(bodyOf(fields, values).body).toEqual({
    url: "http://a.test/",
    provider_id: "",
    user_agent: "",
    headers: { Referer: "http://r.test:80/" },
  });
  expect(bodyOf(fields, { ...values, headers: "Referer: x\nno colon" }).faults).toEqual([
    { field: "headers", text: "Line 2 is no header: it looks like Name: value." },
  ]);
  expect(bodyOf(PROVIDER, { name: "Acme", max_connections: "many" }).faults).toHaveLength(1);
  expect(
    bodyOf(NEW_CHANNEL, { ...valuesOf(NEW_CHANNEL, {}), name: "N", sources: "http://a/\n\n# no\nhttp://b/" }).body,
  ).toEqual({
    name: "N",
    number: null,
    group: null,
    sources: [{ url: "http://a/" }, { url: "http://b/" }],
  });
});

test("a deletion says what is lost and who is watching", () => {
  const news = channel("news", { sources: [source("news-a", { provider_id: "p-1" })] });
  const sport = channel("sport", { failovers: ["news"] });
  const of = loaded(EMPTY, overview([news, sport], []));
  expect(losses(of, news, []).points).toEqual([
    "Its 1 source and its settings are deleted.",
    "Nobody is watching.",
    "SPORT fails over to it, and will no longer do so.",
    "If it is in a provider’s playlist, the next import creates it again. To prevent that, disable it instead.",
  ]);
  const watched = ["alice", "bob", "carol", "dave", "erin"].map((viewer) => session(`s-${viewer}`, "news", { viewer }));
  expect(losses(of, sport, watched).points[1]).toBe("5 viewers in 5 sessions will see it end: alice, bob, carol and 2 more.");
  const shared = session("s-1", "news", { viewer: "*", viewers: 40 });
  expect(losses(of, sport, [shared]).points[1]).toBe("40 viewers in 1 session will see it end.");
  expect(removed(of, "news").channels.has("news")).toBe(false);
  expect(removed(of, "nowhere")).toBe(of);
});

test("a provider is full also where its limit was lowered", () => {
  const of = (max_connections: number | null, connections_in_use: number) =>
    isFull({ id: "p-1", name: "Acme", max_connections, connections_in_use, created_at: "2026-01-01T00:00:00Z" });
  expect([of(2, 1), of(2, 2), of(2, 3), of(null, 40)]).toEqual([false, true, true, false]);
});

test("of a fresh list the provider's row says what works", () => {
  const of = (id: string, change: object) => source(id, { provider_id: "p-1", ...change });
  const channels = [
    channel("a", { sources: [of("1", { status: "unknown" }), of("2", { in_use: 3 }), source("3")] }),
    channel("b", {
      sources: [of("4", { status: "problematic" }), of("5", { enabled: false }), of("6", { status: "recovered" })],
    }),
  ];
  const use = usesOf(channels).get("p-1") ?? UNUSED;
  expect(use).toEqual({ sources: 5, channels: 2, in_use: 3, failing: 1, unknown: 1, off: 1 });
  expect(told(use)).toBe("2 work · 1 fail · 1 not known yet · 1 disabled");
  expect(told(UNUSED)).toBe("");
});
