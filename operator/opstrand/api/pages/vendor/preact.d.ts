export const h: any;
export const render: (element: any, place: Element) => void;
export const createContext: any;
