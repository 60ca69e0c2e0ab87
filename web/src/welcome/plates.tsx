/** Plates on a table, drawn rather than fetched: the door needs no picture to open. */
const PLATES = [
  { x: 80, y: 60, turn: -5, from: '#3b332d', to: '#b8704a', sun: [120, 96, 34] },
  { x: 330, y: 30, turn: 3, from: '#23303a', to: '#7ea0ac', sun: [84, 70, 22] },
  { x: 560, y: 90, turn: -2, from: '#2f2a3d', to: '#c08a9a', sun: [128, 130, 40] },
  { x: 190, y: 310, turn: 4, from: '#27362f', to: '#a8b07a', sun: [66, 88, 26] },
  { x: 450, y: 340, turn: -4, from: '#40312a', to: '#e0b07c', sun: [110, 110, 46] },
]

export function Plates() {
  return (
    <svg
      aria-hidden="true"
      viewBox="0 0 800 800"
      preserveAspectRatio="xMidYMin slice"
      className="absolute inset-0 size-full"
    >
      {PLATES.map(({ x, y, turn, from, to, sun }, at) => (
        <g key={x} transform={`translate(${x} ${y}) rotate(${turn})`}>
          <defs>
            <linearGradient id={`sky-${at}`} x1="0" y1="0" x2="0" y2="1">
              <stop offset="0" stopColor={from} />
              <stop offset="1" stopColor={to} />
            </linearGradient>
            <clipPath id={`plate-${at}`}>
              <rect width="190" height="240" rx="10" />
            </clipPath>
          </defs>
          <rect
            x="-6"
            y="-6"
            width="202"
            height="252"
            rx="14"
            fill="var(--surface)"
            stroke="var(--line)"
          />
          <g clipPath={`url(#plate-${at})`}>
            <rect width="190" height="240" fill={`url(#sky-${at})`} />
            <circle cx={sun[0]} cy={sun[1]} r={sun[2]} fill="#fff6e6" opacity="0.5" />
            <path
              d={`M0 ${170 + at * 4} Q 60 ${130 + at * 8} 110 ${168 - at * 3} T 190 150 V 240 H 0 Z`}
              fill={from}
              opacity="0.75"
            />
            <path
              d={`M0 ${206 - at * 3} Q 80 ${170 + at * 5} 190 ${204 - at * 4} V 240 H 0 Z`}
              fill="#151210"
              opacity="0.75"
            />
          </g>
        </g>
      ))}
    </svg>
  )
}
