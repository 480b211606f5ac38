"""What `create_model` refuses, in one line that says which option and why."""

import pytest
from expected_models import smallest_of_each_family

from cnnlab.models import create_model, list_models
from cnnlab.models.network import options_of
from cnnlab.ops import pools

MODELS = pytest.mark.parametrize("name", list_models())
# Options are each family's own, so one member shows what they do.
FAMILIES = pytest.mark.parametrize("name", smallest_of_each_family())


def test_an_unknown_dtype_is_refused():
    with pytest.raises(ValueError, match="unknown dtype 'foo'"):
        create_model("lenet5", dtype="foo")


def test_integers_are_no_dtype_of_a_network():
    with pytest.raises(ValueError, match="unknown dtype 'int32'; float32, bfloat16"):
        create_model("lenet5", dtype="int32")


@MODELS
def test_a_value_of_the_wrong_type_is_refused_by_the_name_of_its_option(name):
    model = create_model(name)
    for option in ["num_classes", *options_of(type(model))]:
        for wrong in (1.5, [], object()):
            with pytest.raises((ValueError, TypeError), match=option) as error:
                create_model(name, **{option: wrong})
            assert "\n" not in str(error.value)
            assert repr(wrong) in str(error.value)


@MODELS
def test_none_is_refused_where_it_has_no_meaning(name):
    model = create_model(name)
    optional = {"num_classes", "dtype", "downsample"}
    if model.subsamples_without_pool:
        optional.add("pool")
    for option in set(options_of(type(model))) - optional:
        with pytest.raises((ValueError, TypeError), match=option) as error:
            create_model(name, **{option: None})
        assert "None" in str(error.value) and "\n" not in str(error.value)


@FAMILIES
def test_an_unknown_downsampling_is_refused_with_the_choices(name):
    with pytest.raises(ValueError, match="unknown pool 'no_pool'") as error:
        create_model(name, downsample="no_pool(window_shape=3)")
    assert str(error.value).endswith(f"choose from {', '.join(sorted(pools))}")


def test_a_spec_holds_options_as_arguments_do():
    model = create_model("resnet20(shortcut='projection')", 7, pool="max_pool")
    options = {"shortcut": "projection", "pool": "max_pool"}
    assert model == create_model("resnet20", 7, **options)
    with pytest.raises(ValueError, match="resnet20 has no option 'depth'; its options"):
        create_model("resnet20(depth=3)")


@pytest.mark.parametrize("name", [None, ["lenet5"], int, lambda: None])
def test_what_is_no_text_is_no_models_name(name):
    with pytest.raises(TypeError, match="^name takes a model's name or spec, got "):
        create_model(name)


def test_an_unknown_model_is_refused_with_the_choices():
    with pytest.raises(ValueError, match="unknown model 'lenet6'") as error:
        create_model("lenet6")
    assert str(error.value).endswith(f"choose from {', '.join(list_models())}")
    assert "\n" not in str(error.value)


@FAMILIES
def test_an_unknown_pool_is_refused_with_the_choices(name):
    with pytest.raises(ValueError, match="unknown pool 'no_pool'") as error:
        create_model(name, pool="no_pool")
    assert str(error.value).endswith(f"choose from {', '.join(sorted(pools))}")


@FAMILIES
def test_an_unknown_option_of_a_pool_is_refused_with_the_choices(name):
    with pytest.raises(ValueError, match="lp_pool has no option 'q'.* p, normalize"):
        create_model(name, pool="lp_pool(q=3.0)")


@FAMILIES
def test_an_unknown_option_is_refused_with_the_choices(name):
    with pytest.raises(ValueError, match=f"{name} has no option 'depth'") as error:
        create_model(name, depth=3)
    for option in options_of(type(create_model(name))):
        assert option in str(error.value)
