"""What kind of thing is cited: a dataset, code, a work of reference, or any other page. Rules, read top to bottom.

A registrant's DOI prefix (DataCite, Crossref) or the host of an address tells data and code; what else has an
identifier of works, or stands in a list of references, is a reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum

from app.knowledge.citations.addresses import host_of


class CitationType(StrEnum):
    """What is cited."""

    REFERENCE = "reference"
    DATASET = "dataset"
    CODE = "code"
    GENERAL = "general"


# Zenodo, figshare, Dryad, Harvard Dataverse, ICPSR, PANGAEA, UCI, GBIF, OpenNeuro, UK Data Service
_DATASET_PREFIXES = (
    *("10.5281", "10.6084", "10.5061", "10.7910", "10.3886", "10.1594", "10.24432", "10.15468", "10.18112", "10.5255"),
)
_CODE_PREFIXES = ("10.32614", "10.24433")  # CRAN, Code Ocean
_DATASET_HOSTS = (
    *(
        "zenodo.org",
        "figshare.com",
        "datadryad.org",
        "dataverse.org",
        "dataverse.harvard.edu",
        "pangaea.de",
        "data.gov",
    ),
    *(
        "archive.ics.uci.edu",
        "physionet.org",
        "openml.org",
        "icpsr.umich.edu",
        "gbif.org",
        "data.europa.eu",
        "re3data.org",
    ),
    *("data.worldbank.org", "data.world", "datahub.io"),
)
_CODE_HOSTS = (
    *("github.com", "gitlab.com", "bitbucket.org", "codeberg.org", "sourceforge.net", "sr.ht", "pypi.org", "npmjs.com"),
    *("crates.io", "rubygems.org", "bioconductor.org", "softwareheritage.org", "codeocean.com", "launchpad.net"),
    *("savannah.gnu.org", "savannah.nongnu.org", "r-forge.r-project.org", "ctan.org", "gist.github.com", "pkg.go.dev"),
)
_DATASET_PATHS = re.compile(r"//(?:www\.)?(?:kaggle\.com/datasets|huggingface\.co/datasets)/", re.IGNORECASE)
_CODE_PATHS = re.compile(
    r"//(?:www\.)?(?:cran\.r-project\.org/(?:web/packages/|package=)|huggingface\.co/spaces/)", re.IGNORECASE
)


def type_of(*, keys: Iterable[str], urls: Iterable[str], is_listed: bool) -> CitationType:
    """`is_listed`: it is an entry of a list of references."""
    keys, urls = tuple(keys), tuple(urls)
    dois = [key.removeprefix("doi:") for key in keys if key.startswith("doi:")]
    hosts = [host for url in urls if (host := host_of(url))]
    if _has_prefix(dois, _DATASET_PREFIXES) or _is_at(hosts, _DATASET_HOSTS) or any(map(_DATASET_PATHS.search, urls)):
        return CitationType.DATASET
    if _has_prefix(dois, _CODE_PREFIXES) or _is_at(hosts, _CODE_HOSTS) or any(map(_CODE_PATHS.search, urls)):
        return CitationType.CODE
    if is_listed or any(not key.startswith("url:") for key in keys):
        return CitationType.REFERENCE
    return CitationType.GENERAL


def _has_prefix(dois: list[str], prefixes: tuple[str, ...]) -> bool:
    return any(doi.startswith(tuple(f"{prefix}/" for prefix in prefixes)) for doi in dois)


def _is_at(hosts: list[str], known: tuple[str, ...]) -> bool:
    return any(host == one or host.endswith(f".{one}") for host in hosts for one in known)
