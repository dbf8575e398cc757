// Drives a real Chromium through the status page, and prints what it saw as one line of JSON; the assertions are those
// of tests/tests/e2e/status_page.rs. Arguments: base URL, folder for screenshots or "". By the environment: CHROMIUM, the
// program; METRICS_TOKEN; RESOLVE_BODY, the body of a resolve.
//
// Whatever the page asks for, logs or violates is written down from the first request on.

import { createRequire } from "node:module";

const require = createRequire(new URL("../../wrangler/package.json", import.meta.url));
const { chromium } = require("playwright-core");
const [baseUrl, folder] = process.argv.slice(2);
const { METRICS_TOKEN: token, RESOLVE_BODY: resolveBody } = process.env;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  // Chromium's sandbox does not run as root, as in CI; the page is our own.
  args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
});
process.stdin.resume().on("end", () => browser.close().finally(() => process.exit(1)));

const seen = { origins: new Set(), console: [], violations: [], steps: {} };

async function newPage(options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.on("request", (request) => {
    if (!request.url().startsWith("data:")) seen.origins.add(new URL(request.url()).origin);
  });
  page.on("console", (message) => seen.console.push({ type: message.type(), text: message.text() }));
  page.on("pageerror", (error) => seen.console.push({ type: "exception", text: String(error) }));
  await page.addInitScript(() =>
    addEventListener("securitypolicyviolation", (event) => console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`)),
  );
  return page;
}

/** The cells of a table's row, found by its header. */
const row = (page, id, header) =>
  page.evaluate(
    ([id, header]) => {
      const rows = [...(document.getElementById(id)?.querySelectorAll("tbody tr") ?? [])];
      const found = rows.find((row) => row.cells[0].textContent === header);
      return found && [...found.cells].map((cell) => cell.textContent);
    },
    [id, header],
  );
const integer = (text) => Number((text ?? "").replaceAll(",", ""));

async function logIn(page) {
  await page.goto(`${baseUrl}/status`);
  await page.getByLabel("Token").fill(token);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForSelector("#content[aria-busy=false]", { timeout: 30_000 });
}

try {
  const page = await newPage({ colorScheme: "light", viewport: { width: 1400, height: 900 } });

  // Without a session: the form, reachable by keyboard alone.
  const first = await page.goto(`${baseUrl}/status`);
  seen.steps.first = { status: first.status(), focused: await page.evaluate(() => document.activeElement?.id) };
  seen.steps.metricsBefore = await page.evaluate(async () => (await fetch("/metrics")).status);

  await page.keyboard.type("not-the-token");
  const [wrong] = await Promise.all([page.waitForResponse((r) => r.url().endsWith("/status/login")), page.keyboard.press("Enter")]);
  seen.steps.wrong = { status: wrong.status(), alert: await page.getByRole("alert").textContent() };
  // A 401 of a document is logged by Chromium itself; from here on nothing may be.
  seen.steps.consoleOfRefusals = seen.console.splice(0);

  await page.getByLabel("Token").fill(token);
  await page.keyboard.press("Enter");
  await page.waitForSelector("#content[aria-busy=false]", { timeout: 30_000 });
  const [cookie] = await page.context().cookies();
  const { name, path, httpOnly, secure, sameSite, expires } = cookie;
  seen.steps.cookie = { name, path, httpOnly, secure, sameSite, lifetime: expires - Date.now() / 1000 };
  seen.steps.cookieHidden = (await page.evaluate(() => document.cookie)) === "";

  // Live: what is resolved now shows without a reload, as exact totals and as a rate.
  const before = integer((await row(page, "flags", "match"))?.[1]);
  const resolved = await fetch(`${baseUrl}/v1/flags:resolve`, { method: "POST", body: resolveBody });
  const { resolvedFlags } = await resolved.json();
  const matched = resolvedFlags.filter(({ reason }) => reason === "RESOLVE_REASON_MATCH").length;
  await page.waitForFunction(
    (expected) => {
      const rows = [...document.querySelectorAll("#flags tbody tr")];
      const match = rows.find((row) => row.cells[0].textContent === "match");
      return Number(match?.cells[1].textContent.replaceAll(",", "")) === expected;
    },
    before + matched,
    { timeout: 60_000 },
  );
  await page.waitForFunction(() => /^[\d.,]+\/(s|min)$/.test(document.querySelector("#tile-requests .value").textContent), null, {
    timeout: 60_000,
  });
  seen.steps.totals = {
    before,
    matched,
    match: integer((await row(page, "flags", "match"))?.[1]),
    noSegmentMatch: integer((await row(page, "flags", "no segment match"))?.[1]),
    applied: integer((await row(page, "messages", "applied"))?.[1]),
    sent: integer((await row(page, "records", "cf-resolver"))?.[1]),
  };
  seen.steps.freshness = await page.locator("#freshness").textContent();
  seen.steps.banner = await page.locator("#banner").textContent();
  seen.steps.versions = await page.locator("#versions").textContent();

  // The tables of the charts open by keyboard.
  seen.steps.charts = await page.locator("#charts canvas").count();
  seen.steps.described = await page.locator("#charts [role=img][aria-label]").count();
  const summary = page.locator("#latency summary");
  await summary.focus();
  await page.keyboard.press("Enter");
  await page.waitForSelector("#latency details table tbody tr");
  seen.steps.text = await page.locator("body").innerText();

  // Narrow, wide, light and dark: nothing is cut off.
  seen.steps.overflow = {};
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [380, 1400]) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 900 });
      const overflow = () => document.documentElement.scrollWidth - document.documentElement.clientWidth;
      await page.waitForFunction(() => document.querySelector("#resolves canvas")?.clientWidth > 100);
      // Charts follow the window a moment later; what is still too wide then is reported.
      const fits = () => document.documentElement.scrollWidth <= document.documentElement.clientWidth;
      await page.waitForFunction(fits, null, { timeout: 10_000 }).catch(() => {});
      seen.steps.overflow[`${colorScheme}-${width}`] = await page.evaluate(overflow);
      if (folder) await page.screenshot({ path: `${folder}/${colorScheme}-${width}.png`, fullPage: true });
    }
  }
  await page.setViewportSize({ width: 1400, height: 900 });
  seen.steps.consoleOfPage = seen.console.splice(0);

  // Nothing hidden: /metrics that fails says so, and goes on when it comes back.
  await page.route("**/metrics", (route) => route.fulfill({ status: 503, json: { error: { message: "closed for a test" } } }));
  await page.waitForFunction(() => document.querySelector("#banner").textContent.includes("closed for a test"), null, {
    timeout: 30_000,
  });
  seen.steps.failing = { role: await page.locator("#banner").getAttribute("role"), line: await page.locator("#freshness").textContent() };
  await page.unroute("**/metrics");
  await page.waitForFunction(() => document.querySelector("#freshness").textContent.startsWith("Live"), null, { timeout: 60_000 });
  seen.steps.bannerAfter = await page.locator("#banner").textContent();

  // The cookie opens nothing else, and goes with the logout.
  seen.console.length = 0;
  seen.steps.deadLetters = await page.evaluate(async () => [
    (await fetch("/dead-letters")).status,
    (await fetch("/dead-letters:discard?reason=protobuf", { method: "POST" })).status,
  ]);
  await Promise.all([page.waitForURL("**/status"), page.getByRole("button", { name: "Sign out" }).click()]);
  await page.getByLabel("Token").waitFor();
  seen.steps.cookiesAfter = (await page.context().cookies()).length;
  console.log(JSON.stringify({ ...seen, origins: [...seen.origins] }));
  await browser.close();
  process.exit(0);
} catch (error) {
  console.error(error);
  console.error(JSON.stringify(seen.console));
  await browser.close();
  process.exit(1);
}
