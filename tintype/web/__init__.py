"""The web app: the editor, the gallery and the operator's console, as files for a browser.

`dist/` is what `make web` builds from the repository's `web/`, and travels in the wheel. It reaches
the server through the doors that every other app uses: `/config.json` tells it the public URL and
the anon key, and nothing else here knows of it.

Every path that no door owns and that names no file is the app's own, and answers its page. Assets
have their content's hash in their name and never change; the page is asked for anew each time and
costs a 304. Without a build the page says how to make one.
"""

from tintype.web.site import routes

__all__ = ["routes"]
