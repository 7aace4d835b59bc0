"""Certificates for servers on 127.0.0.1 and for who asks them, made by openssl."""

import subprocess
from pathlib import Path


def make_certificate(folder: Path, name: str = "cert", authority: tuple[Path, Path] | None = None) -> tuple[Path, Path]:
    """Certificate and key in a folder, good for the address 127.0.0.1 and for no name; signed by an authority, or by itself."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}-key.pem"
    subject = ["-subj", f"/CN=observatory {name}", "-addext", "subjectAltName=IP:127.0.0.1"]
    if authority is not None:
        subject += ["-CA", str(authority[0]), "-CAkey", str(authority[1]), "-addext", "basicConstraints=CA:FALSE"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", str(key), "-out", str(certificate), *subject]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key
