/** The one export of the platform's module that is used. */
declare module "cloudflare:workers" {
  export const DurableObject: unknown;
}
