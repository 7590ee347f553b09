from jsisnet.visualize.report.html import Markup, joined, tag


def test_texts_are_escaped_and_markup_is_not():
    assert joined("<b> & ", Markup("<b>"), 7) == "&lt;b&gt; &amp; <b>7"


def test_an_element_has_attributes_and_content():
    made = tag("td", "a<b", 3, class_="bar", data_value=0.25, hidden=True)

    assert made == '<td class="bar" data-value="0.25" hidden>a&lt;b3</td>'


def test_a_value_can_not_end_its_attribute():
    assert tag("i", title='" onclick="x') == '<i title="&quot; onclick=&quot;x"></i>'


def test_attributes_without_value_are_left_out():
    assert tag("i", title=None, hidden=False, data_value=0) == '<i data-value="0"></i>'


def test_an_image_has_no_end():
    assert tag("img", src="data:,") == '<img src="data:,">'
