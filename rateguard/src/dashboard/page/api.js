// Calls the endpoints for operators.

/** Milliseconds until a call fails without a response. */
const TIMEOUT = 10_000;

// This file is below the path of the endpoints, so its address has every prefix that a proxy adds. `fetch` rejects
// addresses with a user name.
const root = new URL("../", import.meta.url);
root.username = root.password = "";

/** A call that the server rejected, or that got no response. */
export class CallError extends Error {
  /** The HTTP status, or 0 without a response. */
  status = 0;

  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }

  /** Whether the operator has to log in, or has no access. */
  get isAccess() {
    return this.status === 401 || this.status === 403;
  }
}

export function getJson(path) {
  return call(path, {});
}

/** Sends a POST request. `body` is JSON text. */
export function postJson(path, body) {
  return call(path, { method: "POST", headers: { "Content-Type": "application/json" }, body });
}

async function call(path, options) {
  let response, body;
  try {
    const signal = AbortSignal.timeout(TIMEOUT);
    response = await fetch(new URL(path, root), { ...options, signal, cache: "no-store", credentials: "same-origin" });
    body = await response.text();
  } catch (error) {
    throw new CallError(error.name === "TimeoutError" ? "no response within 10 s" : "no response from the server");
  }
  const json = parse(body);
  if (response.ok && json) return json;
  if (response.ok) throw new CallError("expected JSON, found another response; log in again", 401);
  throw new CallError(json?.detail ?? `status ${response.status}`, response.status);
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
