from setuptools import setup

setup(
    cffi_modules=["src/skep/_native/build.py:ffi"],
    # One wheel for every Python: cffi keeps to the stable ABI.
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
