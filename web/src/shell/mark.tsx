/** Tintype's mark: a plate with a portrait. */
export function Mark({ className }: { className?: string }) {
  return (
    <svg viewBox="0 0 32 32" aria-hidden="true" className={className}>
      <rect
        x="5"
        y="3"
        width="22"
        height="26"
        rx="4"
        fill="none"
        stroke="currentColor"
        strokeWidth="2.25"
      />
      <circle cx="16" cy="12.500" r="4.250" fill="currentColor" />
      <path
        d="M8.500 25.500c.7-4.700 3.600-7.100 7.500-7.100s6.800 2.400 7.500 7.100z"
        fill="currentColor"
      />
    </svg>
  )
}
