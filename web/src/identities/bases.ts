/** What the base models of a training are called, in every language. */
export const BASES: Record<string, string> = { flux: 'FLUX.1', sdxl: 'SDXL 1.0' }
