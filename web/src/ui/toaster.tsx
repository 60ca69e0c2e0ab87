import { Toaster as Sonner } from 'sonner'

/** Where toasts appear. They are read out as they come. */
export default function Toaster({ theme, label }: { theme: 'light' | 'dark'; label: string }) {
  return (
    <Sonner
      theme={theme}
      containerAriaLabel={label}
      position="bottom-right"
      gap={8}
      // Above the navigation, which stands at the foot of a narrow window.
      mobileOffset={{ bottom: 72 }}
      toastOptions={{
        className: 'font-sans',
        style: {
          background: 'var(--surface)',
          color: 'var(--ink)',
          border: '1px solid var(--line)',
          borderRadius: 10,
          boxShadow: 'var(--shadow-high)',
          fontSize: 13,
          padding: '10px 14px',
        },
        classNames: { description: '!text-quiet', error: '!text-bad', success: '!text-ink' },
      }}
    />
  )
}
