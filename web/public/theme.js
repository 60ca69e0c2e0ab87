// Runs before the page is painted, so that it never flashes in the other theme.
;(() => {
  const chosen = localStorage.getItem('tintype.theme')
  const dark = chosen
    ? chosen === 'dark'
    : window.matchMedia('(prefers-color-scheme: dark)').matches
  document.documentElement.dataset.theme = dark ? 'dark' : 'light'
})()
