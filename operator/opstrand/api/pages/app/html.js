/** The view library: templates without a build step, and the hooks that the components use. */
import { h } from "../vendor/preact.js";
import htm from "../vendor/htm.js";

export { createContext, render } from "../vendor/preact.js";
export {
  useCallback,
  useContext,
  useEffect,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
} from "../vendor/hooks.js";

/** A template of elements; values in it become text or attributes, never markup. */
export const html = htm.bind(h);
