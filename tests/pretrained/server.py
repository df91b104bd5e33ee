"""A web server on this machine that behaves as the tests need it."""

import contextlib
import http.server
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Site:
    """What it serves under any path, and how; `ranges` collects the Range headers that came (None: none)."""

    content: bytes
    status: int = 200
    resumes: bool = True
    cuts: list[int] = field(default_factory=list)  # bytes after which the next answers break off
    says_length: bool = True
    ranges: list[str | None] = field(default_factory=list)
    url: str = ''


@contextlib.contextmanager
def serving(site: Site) -> Iterator[Site]:
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), _handler(site))
    thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.02}, daemon=True)
    thread.start()
    site.url = f'http://127.0.0.1:{server.server_port}'
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def _handler(site: Site) -> type:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            site.ranges.append(self.headers['Range'])
            if site.status != 200:
                self.send_error(site.status)
                return
            first = int(re.fullmatch(r'bytes=(\d+)-', self.headers['Range'])[1]) if self.headers['Range'] else 0
            if not site.resumes:
                first = 0
            total = len(site.content)
            if first >= total:
                self.send_response(416)
                self.send_header('Content-Range', f'bytes */{total}')
                self.end_headers()
                return
            self.send_response(206 if first else 200)
            if first:
                self.send_header('Content-Range', f'bytes {first}-{total - 1}/{total}')
            if site.says_length:
                self.send_header('Content-Length', str(total - first))
            self.end_headers()
            body = site.content[first:]
            self.wfile.write(body[:site.cuts.pop(0)] if site.cuts else body)

        def log_message(self, *_):
            pass

    return Handler
