"""Body of an HTTP answer, within bounds of size and time: a node may send without an end."""

from __future__ import annotations

import time

from requests import RequestException, Response
from requests.exceptions import ChunkedEncodingError, ReadTimeout
from urllib3.exceptions import HTTPError

MOST_BYTES = 64 * 2**20
"""Largest answer that is read; 128 blobs in hexadecimal form take 34 MB."""
_PIECE_BYTES = 2**20


class AnswerTooLarge(RequestException):
    """An answer goes on beyond `MOST_BYTES`."""


def read_body(response: Response, deadline: float) -> bytes:
    """Body of an answer that is streamed.

    Parameters
    ----------
    response : Response
        Of a request with ``stream=True``.
    deadline : float, seconds of `time.monotonic`
        For all of it; the time limit of a request is one of each packet, and a node may send one byte at a time.

    Raises
    ------
    RequestException
        It goes on for too many bytes (`AnswerTooLarge`) or too long, or breaks off.
    """
    body = bytearray()
    while piece := _next(response):
        body += piece
        if len(body) > MOST_BYTES:
            raise AnswerTooLarge(f"more than {MOST_BYTES} bytes")
        if time.monotonic() > deadline:
            raise ReadTimeout("the answer had begun, and did not end in time")
    return bytes(body)


def _next(response: Response) -> bytes:
    """What has come, of the body; nothing at its end."""
    try:
        return bytes(response.raw.read1(_PIECE_BYTES, decode_content=True))
    except (HTTPError, OSError) as error:
        raise ChunkedEncodingError(str(error)) from error
