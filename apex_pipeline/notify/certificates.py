"""Whose certificates are trusted: the authorities of the system, or those that SSL_CERT_FILE or SSL_CERT_DIR name."""

import ssl

import httpx

from apex_pipeline.errors import NotTold


def trusted() -> ssl.SSLContext:
    """A context that checks certificates; NotTold where the authorities cannot be read."""
    try:
        return httpx.create_ssl_context()
    except OSError as error:  # those of ssl too
        told = f"the authorities of SSL_CERT_FILE or SSL_CERT_DIR cannot be read ({type(error).__name__})"
        raise NotTold(told, is_certain=True) from None
