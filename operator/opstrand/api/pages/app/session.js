/**
 * The caller's token, for as long as the tab is open.
 *
 * Owns where it is kept: in sessionStorage, never in a cookie or an address. A new tab of the same
 * origin asks the other ones for it.
 */
const KEY = "opstrand.token";
const WAIT = 250;
const channel = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel(KEY);

/** @returns {string} The token, or "". */
export function readToken() {
  return sessionStorage.getItem(KEY) ?? "";
}

/** @param {string} token */
export function keepToken(token) {
  sessionStorage.setItem(KEY, token);
}

/** Forget a token that the API does not accept any more. */
export function dropToken() {
  sessionStorage.removeItem(KEY);
  dispatchEvent(new Event("opstrand:unauthenticated"));
}

/** Forget the token, here and in the other tabs. */
export function forgetToken() {
  sessionStorage.removeItem(KEY);
  channel?.postMessage({ forget: true });
}

channel?.addEventListener("message", ({ data }) => {
  if (data.ask && readToken()) channel.postMessage({ token: readToken() });
  else if (data.token && !readToken()) keepToken(data.token);
  else if (data.forget && readToken()) {
    sessionStorage.removeItem(KEY);
    location.reload();
  }
});

/** Ask the other tabs for the token. */
function askOthers() {
  if (!channel) return Promise.resolve();
  channel.postMessage({ ask: true });
  return new Promise((resolve) => {
    const began = Date.now();
    const look = setInterval(() => {
      if (!readToken() && Date.now() - began < WAIT) return;
      clearInterval(look);
      resolve(undefined);
    }, 10);
  });
}

/**
 * Get a token without asking a person: by the one-time code of `opstrand ui`, or of another tab.
 *
 * @param {URL} root The address of the API.
 */
export async function openSession(root) {
  const code = new URLSearchParams(location.hash.slice(1)).get("code");
  if (code) {
    // It is worth nothing once it was used, and no one should copy it with the address.
    history.replaceState(null, "", location.pathname + location.search);
    const answer = await fetch(new URL("ui/-/session", root), {
      method: "POST",
      body: JSON.stringify({ code }),
      headers: { "Content-Type": "application/json" },
    });
    if (answer.ok) keepToken((await answer.json()).token);
  }
  if (!readToken()) await askOthers();
}
