"""The `grafana` container: its health, and a login that is asked for everything else."""

from __future__ import annotations

import os

from . import process, web

CREDENTIALS = f"{os.environ.get('GF_SECURITY_ADMIN_USER', '')}:{os.environ.get('GF_SECURITY_ADMIN_PASSWORD', '')}"


def health(_: web.Request) -> web.Answer:
    """Say that the database is well."""
    return web.as_json({"commit": "895fbafb7a", "database": "ok", "version": "10.2.0"})


def other(request: web.Request) -> web.Answer:
    """The front page is for all, the API for those with a login; its data source is asked for real."""
    if not request.path.startswith("/api/"):
        return web.Answer("<!doctype html><title>Grafana</title>\n", kind="text/html")
    if request.basic_auth() != CREDENTIALS:
        process.log_logfmt("warn", "Invalid username or password", "authn.service")
        return web.as_json({"message": "Invalid username or password"}, 401)
    if request.path == "/api/datasources/uid/prometheus/health":
        try:
            web.get("http://prometheus:9090/-/healthy", 2)
        except OSError as error:
            return web.as_json({"status": "ERROR", "message": str(error)}, 400)
        return web.as_json({"status": "OK", "message": "Successfully queried the Prometheus API."})
    return web.as_json({"message": "Not found"}, 404)


def main() -> None:
    """Serve."""
    process.start(exit_code=0)
    web.serve({"/api/health": health}, 3000, other)
    process.write(
        f'logger=http.server t={process.stamp("T", "Z")} level=info msg="HTTP Server Listen" address=[::]:3000'
    )
    web.sleep_for_ever()


if __name__ == "__main__":
    main()
