type Change<T> = (next: T | ((before: T) => T)) => void;
export function useState<T>(first: T | (() => T)): [T, Change<T>];
export function useEffect(effect: () => void | (() => void), inputs?: any[]): void;
export function useLayoutEffect(effect: () => void | (() => void), inputs?: any[]): void;
export function useMemo<T>(make: () => T, inputs?: any[]): T;
export function useCallback<T>(callback: T, inputs?: any[]): T;
export function useRef<T>(first: T): { current: T };
export function useContext(context: any): any;
