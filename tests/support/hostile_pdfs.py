"""PDFs that nobody wrote by accident: bombs, cycles, counts that lie. Each is built here, object by object."""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence

from pypdf import PdfReader, PdfWriter

CATALOG = b"<</Type/Catalog/Pages 2 0 R>>"
ONE_PAGE = b"<</Type/Pages/Kids[3 0 R]/Count 1>>"
PAGE = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>"
FONT = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"


def pdf(objects: Sequence[bytes], *, trailer: bytes = b"/Root 1 0 R", startxref: int | None = None) -> bytes:
    """A PDF of these objects, numbered from 1, with a true cross-reference table unless told otherwise."""
    out, offsets = bytearray(b"%PDF-1.7\n"), list[int]()
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    xref = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<</Size %d%s>>\nstartxref\n%d\n%%%%EOF" % (
        len(objects) + 1, trailer, xref if startxref is None else startxref,
    )  # fmt: skip
    return bytes(out)


def stream(content: bytes, extra: bytes = b"") -> bytes:
    """A stream object of content as it stands."""
    return b"<</Length %d%s>>\nstream\n%s\nendstream" % (len(content), extra, content)


def flate(content: bytes, times: int = 1, extra: bytes = b"") -> bytes:
    """A stream compressed `times` times over."""
    for _ in range(times):
        content = zlib.compress(content, 9)
    return stream(content, extra + b"/Filter[" + b"/FlateDecode" * times + b"]")


def page_of(contents: bytes, *more: bytes) -> bytes:
    """A PDF of one page with that content stream."""
    return pdf([CATALOG, ONE_PAGE, PAGE, contents, FONT, *more])


def encrypted(user_password: str) -> bytes:
    """A true page, encrypted by pypdf with RC4."""
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(page_of(stream(b"BT /F1 9 Tf (secret) Tj ET")))))
    writer.encrypt(user_password, "owner", algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def _deep_tree(depth: int) -> bytes:
    nodes = [b"<</Type/Pages/Parent %d 0 R/Kids[%d 0 R]/Count 1>>" % (n - 1, n + 1) for n in range(3, depth)]
    return pdf([CATALOG, b"<</Type/Pages/Kids[3 0 R]/Count 1>>", *nodes, b"<</Type/Page/Parent 2 0 R>>"])


def _object_stream_bomb() -> bytes:
    zeros = b"0 0 " * 3_000_000
    extra = b"/Type/ObjStm/N 3000000/First %d" % len(zeros)
    return pdf([CATALOG, ONE_PAGE, PAGE, stream(b""), FONT, flate(zeros, extra=extra)])


def hostile_pdfs() -> dict[str, bytes]:
    """Each by the name of its trick."""
    text = stream(b"BT /F1 9 Tf (Hello) Tj ET")
    many_kids = b"[" + b"3 0 R " * 100_000 + b"]"
    form = b"/Type/XObject/Subtype/Form/Resources<</XObject<</X 6 0 R>>>>"
    draws_itself = PAGE.replace(b"/Resources<<", b"/Resources<</XObject<</X 6 0 R>>")
    return {
        "empty": b"",
        "only a header": b"%PDF-1.7\n",
        "html": b"<!doctype html><html><body>Sign in</body></html>",
        "zeros": bytes(1_000_000),
        "no pages": pdf([CATALOG, b"<</Type/Pages/Kids[]/Count 0>>"]),
        "negative count": pdf([CATALOG, b"<</Type/Pages/Kids[]/Count -5>>"]),
        "count that lies": pdf([CATALOG, b"<</Type/Pages/Kids[3 0 R]/Count 2000000000>>", PAGE, text, FONT]),
        "page tree that is its own child": pdf([CATALOG, b"<</Type/Pages/Kids[2 0 R]/Count 1>>"]),
        "page tree in a circle": pdf(
            [CATALOG, b"<</Type/Pages/Kids[3 0 R]/Count 1>>", b"<</Type/Pages/Parent 2 0 R/Kids[2 0 R 2 0 R]/Count 2>>"]
        ),
        "parent in a circle": pdf([CATALOG, ONE_PAGE, b"<</Type/Page/Parent 3 0 R/Contents 4 0 R>>", text]),
        "one page a hundred thousand times": pdf(
            [CATALOG, b"<</Type/Pages/Kids%s/Count 100000>>" % many_kids, PAGE, text, FONT]
        ),
        "page tree 3000 deep": _deep_tree(3000),
        "flate bomb, 1 GB": page_of(flate(bytes(1 << 30))),
        "flate bomb in a flate bomb": page_of(flate(bytes(1 << 29), times=2)),
        "operators without end": page_of(flate(b"BT /F1 9 Tf (a) Tj ET\n" * 3_000_000)),
        "one text of 80 MB": page_of(flate(b"BT /F1 9 Tf (" + b"a" * 80_000_000 + b") Tj ET")),
        "array 200000 deep": page_of(stream(b"[" * 200_000)),
        "dictionary 100000 deep": pdf([CATALOG, ONE_PAGE, b"<</A" * 100_000, text]),
        "length that refers to itself": page_of(b"<</Length 4 0 R>>\nstream\nBT ET\nendstream"),
        "contents in a circle": page_of(b"[4 0 R 4 0 R]"),
        "object stream bomb": _object_stream_bomb(),
        "a form that draws itself": pdf(
            [CATALOG, ONE_PAGE, draws_itself, stream(b"/X Do"), FONT, stream(b"/X Do", form)]
        ),
        "predictor of huge columns": page_of(
            flate(b"\x02" * 1000, extra=b"/DecodeParms<</Predictor 12/Columns 2000000000>>")
        ),
        "lzw garbage": page_of(stream(b"\xff" * 100_000, b"/Filter/LZWDecode")),
        "run length bomb": page_of(stream(b"\x81a" * 500_000, b"/Filter/RunLengthDecode")),
        "ascii85 garbage": page_of(stream(b"z" * 1_000_000, b"/Filter/ASCII85Decode")),
        "unknown filter": page_of(stream(b"x", b"/Filter/NoSuchDecode")),
        "xref at itself": pdf([CATALOG, ONE_PAGE, PAGE, text, FONT], startxref=0),
        "xref past the end": pdf([CATALOG, ONE_PAGE, PAGE, text, FONT], startxref=10**12),
        "xref in a circle": pdf([CATALOG, ONE_PAGE, PAGE, text, FONT], trailer=b"/Root 1 0 R/Prev 400"),
        "no root": pdf([CATALOG, ONE_PAGE, PAGE, text, FONT], trailer=b""),
        "root is a page": pdf([CATALOG, ONE_PAGE, PAGE, text, FONT], trailer=b"/Root 3 0 R"),
        "size of billions": pdf([CATALOG, ONE_PAGE, PAGE, text, FONT], trailer=b"/Root 1 0 R/Size 4000000000"),
        "encrypted, with a password": encrypted("none of ours"),
        "encryption of no kind": pdf(
            [CATALOG, ONE_PAGE, PAGE, text, FONT],
            trailer=b"/Root 1 0 R/Encrypt<</Filter/Standard/V 9/R 9/O()/U()/P 0>>",
        ),
        "map of characters without end": page_of(
            text, flate(b"1 beginbfrange <0000> <FFFFFFFF> <0041> endbfrange", extra=b"/Type/CMap")
        ).replace(b"/BaseFont/Helvetica", b"/BaseFont/Helvetica/ToUnicode 6 0 R"),
    }
