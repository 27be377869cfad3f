"""The SQL functions and collations that every connection carries; translated statements call them by ``pg_`` names."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import random
from typing import Any

import apsw

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.catalogue.kinds import labels_of
from plugins.database.sqlite.errors import refused_value
from plugins.database.sqlite.stored import read_type
from plugins.database.sqlite.values import enums, extremes, money, ranges, readers, series
from plugins.database.sqlite.values.nested import arrays, composites, documents, members, ordering, sequences
from plugins.database.sqlite.values.numeric import arithmetic, numbers, pictures, powers, statistics
from plugins.database.sqlite.values.numeric.arithmetic import NumericSum
from plugins.database.sqlite.values.numeric.floats import REGRESSIONS, FloatSum, RealSum, Regression
from plugins.database.sqlite.values.search import documents as search_documents
from plugins.database.sqlite.values.search import matching
from plugins.database.sqlite.values.search import queries as search_queries
from plugins.database.sqlite.values.temporal import clocks, fields, intervals, moments, spans, templates
from plugins.database.sqlite.values.temporal.intervals import IntervalSum
from plugins.database.sqlite.values.textual import encodings, formatting, patterns, strings, texts


def _round_half_even(value: float | None) -> float | None:
    return None if value is None else float(round(value))


# name, number of arguments, function; all of them give the same result for the same arguments.
FUNCTIONS: tuple[tuple[str, int, Callable[..., Any]], ...] = (
    ("pg_bool", 1, numbers.read_boolean),
    ("pg_int2", 1, numbers.integer_reader("smallint")),
    ("pg_int4", 1, numbers.integer_reader("integer")),
    ("pg_int8", 1, numbers.integer_reader("bigint")),
    ("pg_numeric_int", 2, numbers.numeric_to_integer),
    ("pg_float4", 1, numbers.read_real),
    ("pg_widened", 1, numbers.widened),
    ("pg_float8", 1, numbers.read_double),
    ("pg_float_text", 1, numbers.write_double),
    ("pg_real_text", 1, numbers.write_real),
    ("pg_numeric", 1, numbers.read_numeric),
    ("pg_numeric_fit", 3, numbers.fit_numeric),
    ("pg_uuid", 1, texts.read_uuid),
    ("pg_varchar", 2, texts.fit_varchar),
    ("pg_char", 2, texts.fit_char),
    ("pg_moment_fit", 2, moments.fit),
    ("pg_bytea", 1, texts.read_bytea),
    ("pg_bytea_text", 1, texts.write_bytea),
    ("pg_ilike", 2, texts.matches_like_ignoring_case),
    ("pg_date", 1, moments.read_date),
    ("pg_time", 1, moments.read_time),
    ("pg_timetz", 1, moments.read_timetz),
    ("pg_timetz_clock", 1, clocks.to_time),
    ("pg_timetz_add", 3, clocks.add),
    ("pg_timetz_in", 2, clocks.to_zone),
    ("pg_timetz_field", 2, fields.extract_timetz),
    ("pg_timetz_moment", 2, clocks.at_date),
    ("pg_timestamp", 1, moments.read_timestamp),
    ("pg_timestamptz", 1, moments.read_timestamptz),
    ("pg_money", 1, money.read),
    ("pg_money_of", 2, money.from_number),
    ("pg_money_total", 1, money.total),
    ("pg_money_number", 1, money.to_number),
    ("pg_money_add", 2, money.add),
    ("pg_money_subtract", 2, money.subtract),
    ("pg_money_multiply", 2, money.multiply),
    ("pg_money_divide", 2, money.divide),
    ("pg_money_ratio", 2, money.ratio),
    ("pg_json", 1, documents.read_json),
    ("pg_jsonb", 1, documents.read_jsonb),
    ("pg_jsonb_text", 1, documents.write_jsonb),
    ("pg_json_text", 1, documents.json_to_text),
    ("pg_lower", 1, strings.lower),
    ("pg_upper", 1, strings.upper),
    ("pg_initcap", 1, strings.initcap),
    ("pg_quotient", 2, arithmetic.quotient),
    ("pg_modulo", 2, arithmetic.modulo),
    ("pg_numeric_add", 2, arithmetic.add),
    ("pg_numeric_subtract", 2, arithmetic.subtract),
    ("pg_numeric_multiply", 2, arithmetic.multiply),
    ("pg_numeric_divide", 2, arithmetic.divide),
    ("pg_numeric_remainder", 2, arithmetic.remainder),
    ("pg_numeric_abs", 1, arithmetic.absolute),
    ("pg_numeric_round", 2, arithmetic.round_to),
    ("pg_numeric_ceil", 1, arithmetic.ceiling),
    ("pg_numeric_floor", 1, arithmetic.floor),
    ("pg_numeric_trunc", 2, arithmetic.truncate),
    ("pg_float_round", 1, _round_half_even),
    ("pg_substring", -1, strings.substring),
    ("pg_left", 2, strings.left),
    ("pg_right", 2, strings.right),
    ("pg_replace", 3, strings.replace),
    ("pg_reverse", 1, strings.reverse),
    ("pg_repeat", 2, strings.repeat),
    ("pg_split_part", 3, strings.split_part),
    ("pg_md5", 1, encodings.md5),
    ("pg_json_path", 1, strings.json_path),
    ("pg_greatest", -1, extremes.greatest),
    ("pg_least", -1, extremes.least),
    ("pg_greatest_by", -1, extremes.greatest_by),
    ("pg_least_by", -1, extremes.least_by),
    ("pg_count", 2, strings.row_count),
    ("pg_given", 3, strings.given),
    ("pg_too_many", 0, strings.too_many_rows),
    ("pg_lpad", -1, strings.lpad),
    ("pg_rpad", -1, strings.rpad),
    ("pg_translate", 3, strings.translate),
    ("pg_overlay", -1, strings.overlay),
    ("pg_ascii", 1, strings.ascii_code),
    ("pg_chr", 1, strings.character),
    ("pg_to_hex", 2, strings.hexadecimal),
    ("pg_nulls", -1, strings.nulls),
    ("pg_non_nulls", -1, strings.non_nulls),
    ("pg_digest", 2, encodings.digest),
    ("pg_encode", 2, encodings.encode),
    ("pg_decode", 2, encodings.decode),
    ("pg_convert_to", 2, encodings.convert_to),
    ("pg_convert_from", 2, encodings.convert_from),
    ("pg_quote_literal", 1, formatting.quote_literal),
    ("pg_quote_ident", 1, formatting.quote_ident),
    ("pg_concat_ws", -1, formatting.concat_ws),
    ("pg_format", -1, formatting.format_text),
    ("pg_regexp_like", -1, patterns.matches),
    ("pg_regexp_replace", -1, patterns.replace),
    ("pg_regexp_match", -1, patterns.first_match),
    ("pg_regexp_matches", -1, patterns.all_matches),
    ("pg_regexp_split", -1, patterns.split),
    ("pg_regexp_part", 2, patterns.part),
    ("pg_regexp_whole", 2, patterns.whole),
    ("pg_regexp_count", 2, patterns.count),
    ("pg_similar", -1, patterns.similar),
    ("pg_numeric_div", 2, arithmetic.whole_quotient),
    ("pg_numeric_sign", 1, arithmetic.sign),
    ("pg_power", 2, powers.power),
    ("pg_sqrt", 1, powers.square_root),
    ("pg_cbrt", 1, powers.cube_root),
    ("pg_ln", 1, powers.natural_logarithm),
    ("pg_log", 1, powers.common_logarithm),
    ("pg_percentile_disc", 2, statistics.percentile_disc),
    ("pg_percentile_cont", 2, statistics.percentile_cont),
    ("pg_mode", 1, statistics.mode),
    ("pg_variance", 2, statistics.variance),
    ("pg_bits", 2, statistics.bits),
    ("pg_xor", 2, statistics.exclusive_or),
    ("pg_shift", 3, statistics.shifted),
    ("pg_gcd", 2, statistics.greatest_divisor),
    ("pg_lcm", 2, statistics.least_multiple),
    ("pg_number_to_char", 2, pictures.to_char),
    ("pg_overlaps", 4, spans.overlap),
    ("pg_regtype", 1, read_type),
    ("pg_enum_range", 3, enums.range_of),
    ("pg_regconfig", 1, search_documents.configuration),
    ("pg_tsvector", 1, search_documents.read),
    ("pg_tsquery", 1, search_queries.read),
    ("pg_to_tsvector", 2, search_documents.from_text),
    ("pg_document_to_tsvector", 2, search_documents.from_document),
    ("pg_to_tsquery", 2, search_queries.from_operators),
    ("pg_plainto_tsquery", 2, search_queries.from_words),
    ("pg_phraseto_tsquery", 2, search_queries.from_phrase),
    ("pg_websearch_to_tsquery", 2, search_queries.from_web),
    ("pg_tsvector_weighted", 2, search_documents.weighted),
    ("pg_tsvector_stripped", 1, search_documents.stripped),
    ("pg_tsvector_length", 1, search_documents.length),
    ("pg_tsvector_concat", 2, search_documents.concatenate),
    ("pg_tsquery_joined", -1, search_queries.joined),
    ("pg_tsquery_negated", 1, search_queries.negated),
    ("pg_tsquery_count", 1, search_queries.count),
    ("pg_matches", 2, matching.matches),
    ("pg_row", -1, composites.write),
    ("pg_row_field", 2, composites.field),
    ("pg_row_read", 2, composites.admit),
    ("pg_array", 2, readers.read_array),
    ("pg_array_fit", -1, readers.fit_array),
    ("pg_array_cut", 2, readers.cut_array),
    ("pg_enum", 3, enums.read),
    ("pg_enum_array", 3, enums.read_array),
    ("pg_array_text", 2, arrays.to_text),
    ("pg_array_append", 2, sequences.append),
    ("pg_array_concat", 2, sequences.concatenate),
    ("pg_array_remove", 2, sequences.remove),
    ("pg_array_replace", 3, sequences.replace),
    ("pg_array_position", -1, sequences.position),
    ("pg_array_positions", 2, sequences.positions),
    ("pg_array_holds", 3, sequences.holds),
    ("pg_array_length", 2, sequences.length),
    ("pg_array_lower", 2, sequences.lower_bound),
    ("pg_array_slice", 3, sequences.slice_of),
    ("pg_array_trim", 2, sequences.trim),
    ("pg_array_contains", 2, sequences.contains),
    ("pg_array_overlaps", 2, sequences.overlaps),
    ("pg_array_join", 4, arrays.join),
    ("pg_joined", 2, arrays.joined),
    ("pg_cardinality", 1, sequences.cardinality),
    ("pg_elements", 1, arrays.elements),
    ("pg_split", -1, arrays.split),
    ("pg_series", -1, series.whole_numbers),
    ("pg_jsonb_member", 1, members.as_text),
    ("pg_json_type", 1, members.type_of),
    ("pg_json_length", 1, members.array_length),
    ("pg_json_strip", 1, members.strip_nulls),
    ("pg_json_pretty", 1, members.pretty),
    ("pg_json_at", 2, members.at),
    ("pg_json_text_at", 2, members.text_at),
    ("pg_json_put", -1, members.put),
    ("pg_json_insert", -1, members.insert),
    ("pg_json_only", 1, members.only),
    ("pg_json_filled", 1, members.filled),
    ("pg_json_key", -1, members.object_key),
    ("pg_json_contains", 2, members.contains),
    ("pg_json_has", 2, members.has),
    ("pg_json_has_any", 2, members.has_any),
    ("pg_json_has_all", 2, members.has_all),
    ("pg_json_concat", 2, members.concatenate),
    ("pg_json_without", 2, members.without),
    ("pg_json_without_key", 2, members.without_key),
    ("pg_json_without_element", 2, members.without_element),
    ("pg_json_without_path", 2, members.without_path),
    ("pg_json_elements", 1, members.elements),
    ("pg_json_objects", 2, members.objects),
    ("pg_json_element_texts", 1, members.element_texts),
    ("pg_json_object", 1, members.as_elements),
    ("pg_json_keys", 1, members.keys),
    ("pg_json_members", 2, members.members),
    ("pg_json_member_texts", 2, members.member_texts),
    ("pg_range", 2, ranges.read),
    ("pg_range_make", 4, ranges.make),
    ("pg_range_holds", 3, ranges.holds),
    ("pg_range_test", 4, ranges.test),
    ("pg_range_combine", 4, ranges.combine),
    ("pg_range_part", 3, ranges.part),
    ("pg_interval", 1, intervals.read),
    ("pg_interval_add", 2, intervals.add),
    ("pg_interval_subtract", 2, intervals.subtract),
    ("pg_interval_negate", 1, intervals.negate),
    ("pg_interval_multiply", 2, intervals.multiply),
    ("pg_interval_divide", 2, intervals.divide),
    ("pg_justify_days", 1, intervals.justify_days),
    ("pg_justify_hours", 1, intervals.justify_hours),
    ("pg_justify_interval", 1, intervals.justify_interval),
    ("pg_make_interval", 7, intervals.make),
    ("pg_moment_add", 2, spans.add),
    ("pg_moment_subtract", 2, spans.subtract),
    ("pg_moment_difference", 2, spans.difference),
    ("pg_moment_series", 3, series.moments_between),
    ("pg_date_add", 2, spans.add_days),
    ("pg_date_difference", 2, spans.days_between),
    ("pg_time_add", 3, spans.add_to_time),
    ("pg_time_difference", 2, spans.time_difference),
    ("pg_time_interval", 1, spans.time_as_interval),
    ("pg_age", 2, spans.age),
    ("pg_to_zone", 2, spans.to_zone),
    ("pg_from_zone", 2, spans.from_zone),
    ("pg_from_epoch", 1, spans.from_epoch),
    ("pg_make_date", 3, spans.make_date),
    ("pg_make_time", 3, spans.make_time),
    ("pg_make_timestamp", 6, spans.make_timestamp),
    ("pg_is_finite", 1, spans.is_finite),
    ("pg_to_char", 2, templates.to_char),
    ("pg_to_date", 2, templates.to_date),
    ("pg_to_timestamp", 2, templates.to_timestamp),
    ("pg_interval_trunc", 2, fields.interval_trunc),
    ("pg_interval_field", 2, fields.extract_interval),
    ("pg_time_field", 2, fields.extract_time),
    ("pg_date_trunc_in", 3, fields.date_trunc_in),
    ("pg_date_trunc", 2, fields.date_trunc),
    ("pg_extract", 2, fields.extract),
)


def _regression(name: str, state: Regression) -> float | None:
    return state.value_of(name)


_AGGREGATES: tuple[tuple[str, Callable[[], Any], Callable[[Any], Any], int], ...] = (
    ("pg_numeric_sum", NumericSum, NumericSum.sum, 1),
    ("pg_numeric_avg", NumericSum, NumericSum.average, 1),
    ("pg_interval_sum", IntervalSum, IntervalSum.sum, 1),
    ("pg_interval_avg", IntervalSum, IntervalSum.average, 1),
    ("pg_float_sum", FloatSum, FloatSum.sum, 1),
    ("pg_float_avg", FloatSum, FloatSum.average, 1),
    ("pg_real_sum", RealSum, RealSum.sum, 1),
    *((f"pg_{name}", Regression, partial(_regression, name), 2) for name in REGRESSIONS),
)


def _window(state: Callable[[], Any], value: Callable[[Any], Any]) -> Callable[[], Any]:
    """Return the factory of a window function: its state and four functions on it."""

    def made() -> Any:
        one = state()
        return one, type(one).step, value, value, type(one).inverse

    return made


def _demand(*tests: Any, sqlstate: str) -> int:
    """Raise unless all tests hold; behind each stands what is wrong where it does not, or is unknown."""
    for test, message in zip(tests[::2], tests[1::2], strict=True):
        if not test:
            raise DatabaseError(message, sqlstate=sqlstate)
    return 1


def _raise(*arguments: Any) -> Any:
    """Raise an error, given its SQLSTATE and its message."""
    sqlstate, message = arguments
    raise DatabaseError(message, sqlstate=sqlstate)


def _domain(*arguments: Any) -> Any:
    """Return a value that a domain takes, given the domain's name, whether it may be null, and its tests.

    Behind each test stands the check's name.
    """
    value, name, nullable, *tests = arguments
    if value is None and not nullable:
        raise refused_value(name, None)
    for test, constraint in zip(tests[::2], tests[1::2], strict=True):
        if test == 0:
            raise refused_value(name, constraint)
    return value


def _collation(connection: apsw.Connection, name: str) -> None:
    """Make the collation of an enumeration, whose name says its order."""
    labels = labels_of(name)
    if labels is not None:
        connection.create_collation(name, enums.comparison(labels))


def register(
    connection: apsw.Connection,
    now: Callable[[], str],
    clock: Callable[[], str],
    uuid: Callable[[], str],
    caller: Callable[[Any], str | None],
) -> None:
    """Give `connection` the functions.

    `now`, the transaction's time, the `clock` and `uuid` are read at each call, so they follow the kernel's; `caller`
    tells the setting of a name (who runs the statement) and is the same throughout a statement.
    """
    for name, arguments, function in FUNCTIONS:
        connection.create_scalar_function(name, function, arguments, deterministic=True)
    demands = (("pg_policy", "42501"), ("pg_check_option", "44000"), ("pg_partition", "23514"))
    for name, sqlstate in demands:
        connection.create_scalar_function(name, partial(_demand, sqlstate=sqlstate), -1)
    connection.create_scalar_function("pg_raise", _raise, 2)
    connection.create_scalar_function("pg_domain", _domain, -1, deterministic=True)
    connection.create_scalar_function("pg_caller", lambda *names: caller(*names), 1, deterministic=True)
    connection.create_scalar_function("pg_now", lambda *_: now(), 0)
    connection.create_scalar_function("pg_clock", lambda *_: clock(), 0)
    connection.create_scalar_function("pg_new_uuid", lambda *_: uuid(), 0)
    connection.create_scalar_function("pg_random", lambda *_: random(), 0)  # noqa: S311 - SQL's random() is no secret
    for name, state, value, count in _AGGREGATES:
        connection.create_window_function(name, _window(state, value), count)
    connection.collation_needed(_collation)
    connection.create_collation("pg_numeric", numbers.compare_numeric)
    connection.create_collation("pg_interval", intervals.compare)
    connection.create_collation("pg_timetz", clocks.compare)
    connection.create_collation("pg_money", money.compare)
    connection.create_collation("pg_range", ranges.compare)
    connection.create_collation("pg_jsonb", ordering.compare)
    connection.create_collation("pg_array", sequences.compare)
