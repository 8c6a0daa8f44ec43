"""How static files are named and compressed outside DEBUG."""

from __future__ import annotations

from servestatic.storage import CompressedManifestStaticFilesStorage


class ModuleStorage(CompressedManifestStaticFilesStorage):
    """Hashed names inside JavaScript modules, too: an import leads to the version it was written for."""

    support_js_module_import_aggregation = True
    max_post_process_passes = 20  # a pass settles one step of a chain of imports
