/* What is counted, by name; about how many different ones; and that sums are sums. */
#include "proxy/tally.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"

static struct address client(uint32_t number)
{
    struct address address = {.family = FAMILY_V4, .bytes = {10}};
    for (unsigned i = 0; i < 3; i++)
        address.bytes[3 - i] = (uint8_t)(number >> (8 * i));
    return address;
}

Test(name_table, rows_are_found_by_any_bytes_and_keep_their_order)
{
    struct name_table table = {.row_size = sizeof(struct tally_route), .max = 1000};
    char name[24];
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "name %d", i);
        struct tally_route *row = name_table_row(&table, name, strlen(name));
        cr_assert(row != NULL && row->open == 0);
        row->open = (uint64_t)i;
    }
    cr_expect(table.count == 500);
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "name %d", i);
        const struct tally_route *row = name_table_find(&table, name, strlen(name));
        cr_assert(row != NULL && row->open == (uint64_t)i && table.rows[i] == &row->row);
        cr_assert_str_eq(row->row.name, name);
    }
    cr_expect(name_table_find(&table, "name", 4) == NULL);
    cr_expect(name_table_find(&table, "name 1\0", 7) == NULL, "a NUL is a byte like any other");
    name_table_fini(&table);
    cr_expect(name_table_find(&table, "name 1", 6) == NULL);
}

Test(name_table, a_full_one_takes_no_more)
{
    struct name_table table = {.row_size = sizeof(struct name_row), .max = 2};
    cr_expect(name_table_row(&table, "a", 1) != NULL && name_table_row(&table, "b", 1) != NULL);
    cr_expect(name_table_row(&table, "c", 1) == NULL);
    cr_expect(name_table_row(&table, "a", 1) != NULL && table.count == 2);
    name_table_fini(&table);
}

static void expect_about(uint64_t wanted, uint64_t got, double share)
{
    const double most = (double)wanted * share;
    cr_expect((double)got >= (double)wanted - most && (double)got <= (double)wanted + most, "%lu are counted as %lu", (unsigned long)wanted,
              (unsigned long)got);
}

Test(distinct, few_are_exact_and_many_are_near)
{
    struct distinct all = {{0}};
    uint32_t added = 0;
    cr_expect(distinct_count(&all) == 0);
    for (uint32_t until = 1; until <= 1000000; until *= 10) {
        for (; added < until; added++) {
            const struct address address = client(added);
            distinct_add(&all, hash_bytes(&address, sizeof(address), 0));
            distinct_add(&all, hash_bytes(&address, sizeof(address), 0)); /* once more is not another one */
        }
        expect_about(until, distinct_count(&all), until <= 10 ? 0 : 0.1);
    }
}

Test(distinct, of_two_counts_those_in_both_are_counted_once)
{
    struct distinct left = {{0}}, right = {{0}};
    for (uint32_t i = 0; i < 3000; i++) {
        const struct address address = client(i);
        distinct_add(i < 2000 ? &left : &right, hash_bytes(&address, sizeof(address), 0));
        if (i >= 1000 && i < 2000)
            distinct_add(&right, hash_bytes(&address, sizeof(address), 0));
    }
    distinct_merge(&left, &right);
    expect_about(3000, distinct_count(&left), 0.1);
}

Test(distinct, a_hash_of_zeros_ends_its_run)
{
    struct distinct one = {{0}};
    distinct_add(&one, 0);
    cr_expect(one.registers[0] == 64 - DISTINCT_BITS + 1 && distinct_count(&one) == 1, "%d", one.registers[0]);
}

Test(tally, a_time_falls_into_the_first_bucket_that_holds_it)
{
    struct tally_times times = {{0}, 0};
    const uint64_t spent[] = {0, 1, 2, 3, 10000, 10001};
    for (size_t i = 0; i < sizeof(spent) / sizeof(spent[0]); i++)
        tally_time(&times, spent[i]);
    cr_expect(times.buckets[0] == 2 && times.buckets[1] == 1 && times.buckets[2] == 1);
    cr_expect(times.buckets[TALLY_BUCKETS - 1] == 1 && times.buckets[TALLY_BUCKETS] == 1);
    cr_expect(times.sum_ms == 20007);
    for (size_t i = 1; i < TALLY_BUCKETS; i++)
        cr_expect(TALLY_BOUND_MS[i - 1] < TALLY_BOUND_MS[i]);
}

/* What one worker might have counted. */
static struct tally *some(uint64_t times)
{
    const struct address builder = client(1), source = client(2);
    struct tally *tally = tally_new();
    cr_assert(tally != NULL);
    for (uint64_t i = 0; i < times; i++) {
        tally_decision(tally, "explicit", VERDICT_ALLOW, REASON_RULE_ALLOW);
        tally_hit(tally, "agents", &builder, 1000 * times + i);
        tally_time(&tally->connect, 3);
        tally_open(tally, "nat");
        tally_port(tally, "nat", &source, 1);
        tally_bytes(tally, "nat", "agents", 10, 100);
    }
    tally_bytes(tally, "nat", NULL, 1, 1); /* observed without a rule */
    return tally;
}

Test(tally, the_sum_over_workers_is_the_sum_of_each_count)
{
    struct tally *sum = tally_new(), *parts[] = {some(3), some(2)};
    const struct address source = client(2);
    tally_decision(parts[1], "other", VERDICT_DENY, REASON_DEFAULT_DENY);
    cr_assert(sum != NULL && tally_add(sum, parts[0]) && tally_add(sum, parts[1]));

    cr_expect(sum->listeners.count == 2 && sum->routes.count == 1 && sum->sources.count == 1 && sum->rules.count == 1);
    const struct tally_listener *listener = name_table_find(&sum->listeners, "explicit", 8), *other = name_table_find(&sum->listeners, "other", 5);
    cr_expect(listener->sessions[VERDICT_ALLOW][REASON_RULE_ALLOW] == 5 && other->sessions[VERDICT_DENY][REASON_DEFAULT_DENY] == 1);
    const struct tally_route *route = name_table_find(&sum->routes, "nat", 3);
    cr_expect(route->open == 5 && route->bytes_up == 52 && route->bytes_down == 502);
    const struct tally_rule *rule = name_table_find(&sum->rules, "agents", 6);
    cr_expect(rule->hits == 5 && rule->bytes_up == 50 && rule->bytes_down == 500 && rule->last_hit_us == 3002, "the latest, whichever worker had it");
    cr_expect(distinct_count(&rule->clients) == 1, "one client is one on all workers");
    const struct tally_source *port = (const struct tally_source *)sum->sources.rows[0];
    cr_expect(port->ports == 5 && address_equal(&port->address, &source));
    cr_expect_str_eq(tally_source_route(port), "nat");
    cr_expect(sum->connect.buckets[2] == 5 && sum->connect.sum_ms == 15 && sum->dns.sum_ms == 0);
    tally_free(parts[0]);
    tally_free(parts[1]);
    tally_free(sum);
}

/* Half of what this has, and then all of it. */
static struct tally *counted(unsigned times)
{
    const struct address one = client(1), source = client(9);
    struct tally *tally = tally_new();
    for (unsigned i = 0; i < times; i++) {
        tally_decision(tally, "explicit", VERDICT_DENY, REASON_DEFAULT_DENY);
        tally_hit(tally, "agents", &one, 5 + i);
        tally_bytes(tally, "nat", "agents", 10, 100);
        tally_time(&tally->dns, 3);
        tally_open(tally, "nat");
        tally_port(tally, "nat", &source, 1);
    }
    return tally;
}

Test(tally, what_was_told_is_taken_away_and_what_is_open_is_not)
{
    struct tally *all = counted(4), *told = counted(3), *more = counted(9);
    tally_bytes(told, "vpn", NULL, 1, 1);
    tally_subtract(all, told);
    const struct tally_listener *listener = name_table_find(&all->listeners, "explicit", 8);
    const struct tally_route *route = name_table_find(&all->routes, "nat", 3);
    const struct tally_rule *rule = name_table_find(&all->rules, "agents", 6);
    cr_expect(listener->sessions[VERDICT_DENY][REASON_DEFAULT_DENY] == 1);
    cr_expect(route->bytes_up == 10 && route->bytes_down == 100 && route->open == 4);
    cr_expect(rule->hits == 1 && rule->bytes_up == 10 && rule->last_hit_us == 8 && distinct_count(&rule->clients) == 1);
    cr_expect(all->dns.buckets[2] == 1 && all->dns.sum_ms == 3 && all->sources.count == 1);
    cr_expect(name_table_find(&all->routes, "vpn", 3) == NULL);
    tally_subtract(all, more); /* more than there is */
    cr_expect(rule->hits == 0 && route->bytes_up == 0 && all->dns.sum_ms == 0);
    tally_settle(all);
    cr_expect(route->open == 0 && all->sources.count == 0 && rule->last_hit_us == 8);
    tally_free(all);
    tally_free(told);
    tally_free(more);
}
