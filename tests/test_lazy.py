from jsisnet.lazy import install_hint


def test_a_missing_module_of_an_extra_gets_an_install_command():
    assert install_hint("`jsisnet train`", "torch.nn") == (
        "`jsisnet train` needs PyTorch, which is not installed: pip install 'jsisnet[torch]'"
    )


def test_a_module_of_no_extra_gets_no_install_command():
    assert install_hint("`jsisnet train`", "numpie") is None
