"""Where the API server is and who we are there: a pod's service account, or a kubeconfig.

`KUBECONFIG` wins when it is set, then the pod's own service account, then `~/.kube/config`, as kubectl does it.
Tokens age: a service account's file is read again every minute (the client library's hook), and everything is
loaded anew after the server said 401 (kubeconfigs with `exec` plugins).
"""

from __future__ import annotations

import os
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import kopf
from kubernetes.aio import config
from kubernetes.aio.client import Configuration
from kubernetes.aio.config.incluster_config import InClusterConfigLoader

from paperjobs.errors import SettingsError

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where Kubernetes mounts a pod's own credentials."""


@dataclass(frozen=True, kw_only=True)
class Login:
    """Credentials for one API server. Never printed: the configuration holds a token or a key."""

    configuration: Any = field(repr=False)
    namespace: str
    """The namespace that the credentials themselves name: the pod's own, or the kubeconfig context's."""


async def login() -> Login:
    """Load the credentials; raises SettingsError that says what was looked for and where."""
    configuration = Configuration()
    configuration.client_side_validation = False
    # aiohttp would look for proxies and a netrc in two threads before each request, which doubles what one costs us.
    configuration.client_session_kwargs = {"trust_env": False}
    try:
        if not os.environ.get("KUBECONFIG") and (SERVICE_ACCOUNT / "token").is_file():
            InClusterConfigLoader(
                token_filename=str(SERVICE_ACCOUNT / "token"), cert_filename=str(SERVICE_ACCOUNT / "ca.crt")
            ).load_and_set(configuration)
            namespace = (SERVICE_ACCOUNT / "namespace").read_text().strip()
        else:
            loader = await config.load_kube_config(
                config_file=os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config"),
                client_configuration=configuration,
                persist_config=False,
            )
            namespace = loader.current_context["context"].get("namespace", "")
    except (config.ConfigException, OSError) as error:
        raise SettingsError(
            f"no way into a Kubernetes cluster: {error}; start the operator in a pod with a service account, "
            "or set KUBECONFIG to a kubeconfig file"
        ) from None
    configuration.proxy = configuration.proxy or _proxy_of_environment(configuration.host)
    return Login(configuration=configuration, namespace=namespace or "default")


def _proxy_of_environment(server: str) -> str | None:
    """What HTTPS_PROXY (or HTTP_PROXY) and NO_PROXY say about a server, as kubectl reads them."""
    known = urlsplit(server)
    if urllib.request.proxy_bypass(known.netloc):
        return None
    return urllib.request.getproxies().get(known.scheme)


async def kopf_connection(known: Login) -> kopf.ConnectionInfo:
    """The same credentials for kopf, with the token as it is now."""
    configuration = known.configuration
    authorization = await configuration.get_api_key_with_prefix("BearerToken") or ""
    scheme, _, token = authorization.partition(" ")
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        scheme=scheme.capitalize() or None,
        token=token.strip() or None,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
        proxy_url=configuration.proxy,
        default_namespace=known.namespace,
    )
