"""Build hook for the Rust kernel; everything else about the package stands in pyproject.toml."""

from setuptools import setup
from setuptools_rust import Binding, RustExtension, Strip

setup(
    rust_extensions=[
        RustExtension(
            "aurora_ingest._kernel",
            path="rust/Cargo.toml",
            binding=Binding.PyO3,
            features=["python"],
            args=["--locked"],
            py_limited_api=True,
            strip=Strip.All,
            debug=False,  # an editable installation would get a slow kernel otherwise
            optional=False,
        )
    ],
)
