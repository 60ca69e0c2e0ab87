/** Why something was not done, and what to do, by the code of the refusal. */
export const refusals = {
  offline: 'The server cannot be reached. Check your connection and try again.',
  busy: 'The server has too much to do. Try again in a moment.',
  broken: 'The server made a mistake. Try again in a moment; if it stays, tell whoever runs it.',
  expired: 'Your session has ended. Sign in again.',
  unknown: 'This could not be done. Reload the page and try again.',
  credits: (required: string, available: string) =>
    `This needs ${required} credits and ${available} are available. Ask for less, or add credits.`,
  told: {
    upload_failed: 'The upload broke off. Check your connection and send it again.',
    download_failed: 'The file could not be fetched. Reload the page and try again.',
    picture_kind: 'Choose a picture: PNG, JPEG, WebP, GIF or AVIF.',
    picture_large: 'This picture is over 20 MB. Make it smaller and choose it again.',
    generation_not_found: 'These pictures are gone already. Reload the page.',
    identity_not_found: 'This identity is gone already. Reload the page.',
    job_not_found: 'This job is gone already. Reload the page.',
    disk_full: 'The server has no room left. Tell whoever runs it.',
    huggingface_token_missing:
      'This server has no account to publish identities with. Tell whoever runs it.',
    too_few_distinct_images: 'At least 3 different photos are needed. Add some and try again.',
    upload_too_slow: 'The photos came too slowly. Try a better connection, or fewer photos.',
    idempotency_key_reused: 'This was sent before with other contents. Reload the page.',
  } as Record<string, string>,
}
