from setuptools import setup

setup(cffi_modules=["src/skep/_native/build.py:ffi"])
