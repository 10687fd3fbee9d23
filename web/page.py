"""This module serves the dashboard: a few built files, and its page for every address that is not the API's."""

from pathlib import Path

from fastapi import FastAPI, Request
from starlette.responses import FileResponse, PlainTextResponse, Response

from web.problems import not_found

FOLDER = Path(__file__).parent / "static"
ASSETS = "assets/"  # their names hold a digest of what is in them
FOREVER = "public, max-age=31536000, immutable"
API = ("api/", "openapi.json")


def mount_page(app: FastAPI, folder: Path = FOLDER) -> None:
    """Answer what no other route does: a built file of this name, else the page, which knows its own addresses."""
    root = folder.resolve()

    async def page(request: Request) -> Response:
        path = request.path_params["path"]
        if path.startswith(API):
            raise not_found(f"there is no {request.url.path}")
        file = (root / path).resolve()
        if path and file.is_relative_to(root) and file.is_file():
            return FileResponse(file, headers={"Cache-Control": FOREVER if path.startswith(ASSETS) else "no-cache"})
        if path.startswith(ASSETS):
            raise not_found(f"there is no {request.url.path}")
        index = root / "index.html"
        if not index.is_file():
            return PlainTextResponse("The dashboard was not built into this installation; the API is at /api.\n")
        return FileResponse(index, headers={"Cache-Control": "no-store"})

    app.add_route("/{path:path}", page, methods=["GET", "HEAD"], include_in_schema=False)
