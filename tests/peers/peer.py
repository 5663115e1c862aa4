"""Signs or verifies deliveries, using only Python's own library.

Usage: peer.py (sign|verify) SECRET, with frames on the standard input: a length, a timestamp, for
`verify` a signature, and the body. Writes one line for each frame: the signature, or yes or no.
"""

import hashlib
import hmac
import struct
import sys


def main():
    mode, secret = sys.argv[1], sys.argv[2].encode()
    stdin = sys.stdin.buffer
    while head := stdin.read(12):
        length, timestamp = struct.unpack(">IQ", head)
        given = stdin.read(64) if mode == "verify" else b""
        body = stdin.read(length)
        signed = str(timestamp).encode() + b"." + body
        signature = hmac.new(secret, signed, hashlib.sha256).hexdigest()
        if mode == "sign":
            print(signature)
        else:
            print("yes" if hmac.compare_digest(signature.encode(), given) else "no")


main()
