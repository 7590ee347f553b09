/** Requests to the server: keys, waiting while it is busy, and what a refusal says. */

/** How often a request is repeated while the server is busy. */
const TRIES = 6;

const SENTENCES = {
  0: "The server does not answer. Check that it is running and that you are online.",
  401: "The server needs a valid API key.",
  413: "This photo is larger than the server accepts.",
  415: "This file is not a photo that the server can read.",
  422: "The server could not read this photo.",
  429: "The server is still busy with other photos. Try again in a minute.",
  503: "The server is starting or shutting down. Try again in a moment.",
  504: "The server took too long for this photo. Try again, or take a smaller one.",
};


export class Refusal extends Error {
  constructor(status, problem = {}) {
    super(SENTENCES[status] ?? "The server failed on this photo.");
    const id = problem.request_id ? ` (request ${problem.request_id})` : "";
    const detail = problem.detail ?? problem.title ?? "";
    this.detail = `${detail.charAt(0).toUpperCase()}${detail.slice(1)}${id}`.trim();
  }
}

export const address = (path, query = {}) => {
  const url = new URL(path, document.baseURI);
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  return url;
};

const problemOf = async (response) => {
  try {
    return await response.json();
  } catch {
    return {};
  }
};

const storedKey = {
  get: () => {
    try { return sessionStorage.getItem("jsisnet-key"); } catch { return storedKey.fallback; }
  },
  set: (value) => {
    storedKey.fallback = value;
    try { sessionStorage.setItem("jsisnet-key", value); } catch { /* kept until the page closes */ }
  },
};

const send = async (url, options) => {
  const key = storedKey.get();
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  try {
    return await fetch(url, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0);
  }
};

/** Send a request, ask for a key if one is needed, and wait while the server is busy. */
export const request = async (url, options = {}, onWait = () => {}) => {
  for (let tries = 1; ; tries += 1) {
    const response = await send(url, options);
    if (response.ok) return response;
    const problem = await problemOf(response);
    if (response.status === 401 && (await askForKey())) {
      tries = 0;
    } else if (response.status === 429 && tries < TRIES) {
      await pause(Number(response.headers.get("Retry-After")) || 1, options.signal, onWait);
    } else {
      throw new Refusal(response.status, problem);
    }
  }
};

const pause = async (seconds, signal, onSecond) => {
  for (let left = Math.ceil(seconds); left > 0; left -= 1) {
    onSecond(left);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    signal?.throwIfAborted();
  }
};

/** Open a dialog and return the value of the button that closed it, empty if it was dismissed. */
export const ask = (dialog) => {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true });
  });
};

let asking = null;
const askForKey = () => {
  const refused = storedKey.get() ? "The server did not accept the key. " : "";
  document.getElementById("key-refused").textContent = refused;
  asking ??= ask(document.getElementById("key"))
    .then((answer) => {
      const value = document.getElementById("key-value").value.trim();
      document.getElementById("key-value").value = "";
      if (!answer || !value) return false;
      storedKey.set(value);
      return true;
    })
    .finally(() => { asking = null; });
  return asking;
};
