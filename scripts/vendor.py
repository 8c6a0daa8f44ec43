"""Re-creates triforce/static/vendor from the npm packages pinned below: `python scripts/vendor.py`.

Needs npm, and nobody but who changes a version needs it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

VENDOR = Path(__file__).resolve().parent.parent / "triforce/static/vendor"
LANGUAGES = "bash c cpp csharp css diff go java javascript json markdown php python rust sql typescript xml yaml".split()

# name of the folder: (npm package, version, licence file, {file in the package: (file here, what turns a classic script into a module)})
LIBRARIES: dict[str, tuple[str, str, str, dict[str, tuple[str, str]]]] = {
    "marked": ("marked", "18.2.1", "LICENSE", {"lib/marked.esm.js": ("marked.js", "")}),
    "dompurify": ("dompurify", "3.4.18", "LICENSE", {"dist/purify.min.js": ("purify.js", "export default globalThis.DOMPurify;")}),
    "katex": ("katex", "0.18.11", "LICENSE", {"dist/katex.min.js": ("katex.js", "export default globalThis.katex;")}),
    "highlight": (
        "@highlightjs/cdn-assets",
        "11.12.0",
        "LICENSE",
        {"es/core.min.js": ("core.js", "")} | {f"es/languages/{name}.min.js": (f"{name}.js", "") for name in LANGUAGES},
    ),
}


def fetch(package: str, version: str, folder: Path) -> Path:
    """The unpacked package."""
    packed = subprocess.run(
        ["npm", "pack", "--silent", f"{package}@{version}"], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.split()[-1]
    with tarfile.open(folder / packed) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package"


def module(source: str, export: str) -> str:
    """The script as a module, without the address of a source map that is not here."""
    bare = re.sub(r"\n?//# sourceMappingURL=\S*\s*$", "", source.rstrip()).rstrip()
    return f"{bare}\n{export}\n" if export else f"{bare}\n"


def main() -> None:
    shutil.rmtree(VENDOR, ignore_errors=True)
    for name, (package, version, licence, files) in LIBRARIES.items():
        with tempfile.TemporaryDirectory() as temporary:
            source, target = fetch(package, version, Path(temporary)), VENDOR / name
            target.mkdir(parents=True)
            shutil.copy(source / licence, target / "LICENSE")
            for origin, (here, export) in files.items():
                (target / here).write_text(module((source / origin).read_text(), export))


if __name__ == "__main__":
    main()
