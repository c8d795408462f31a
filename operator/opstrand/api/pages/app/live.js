/**
 * What the API says, kept current while the page is visible.
 *
 * Owns how often it is asked. The answer has an ETag, so one without news costs next to nothing.
 */
import { ApiError, send } from "./api.js";
import { useCallback, useEffect, useRef, useState } from "./html.js";

/** Milliseconds between two questions. */
const QUICK = 1000;
const SLOW = 10_000;
const LONGEST = 30_000;

/**
 * @typedef {{data: any, error: ApiError | null, reload: () => void}} Live `error` may stand beside
 *   older data.
 */

/**
 * @param {string | null} path Null: nothing is asked.
 * @param {(data: any) => boolean} [isLive] Whether more is expected soon; else it is asked rarely.
 * @returns {Live}
 */
export function useLive(path, isLive = () => true) {
  const [state, setState] = useState({ path, data: null, error: null });
  const again = useRef(() => {});
  const judge = useRef(isLive);
  judge.current = isLive;
  useEffect(() => {
    if (path === null) return undefined;
    const stop = new AbortController();
    let timer = 0;
    let tag = "";
    let failures = 0;
    /** @type {any} */
    let known = null;
    const ask = async () => {
      clearTimeout(timer);
      if (document.hidden && known) return;
      let pause = QUICK;
      try {
        const answer = await send(path, { tag, signal: stop.signal });
        if (answer.status !== 304) {
          known = await answer.json();
          tag = answer.headers.get("ETag") ?? "";
        }
        if (answer.status !== 304 || failures) setState({ path, data: known, error: null });
        failures = 0;
        pause = judge.current(known) ? QUICK : SLOW;
      } catch (error) {
        if (stop.signal.aborted) return;
        failures += 1;
        pause = Math.min(QUICK * 2 ** failures, LONGEST);
        setState({ path, data: known, error: /** @type {any} */ (error) });
        if (!(error instanceof ApiError)) throw error;
        if (error.status >= 400 && error.status < 429) return;
      }
      timer = setTimeout(ask, pause);
    };
    again.current = () => void ask();
    const seen = () => !document.hidden && void ask();
    document.addEventListener("visibilitychange", seen);
    void ask();
    return () => {
      stop.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
    };
  }, [path]);
  const reload = useCallback(() => again.current(), []);
  const isCurrent = state.path === path;
  return { data: isCurrent ? state.data : null, error: isCurrent ? state.error : null, reload };
}
