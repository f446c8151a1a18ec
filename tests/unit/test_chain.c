/* The chain, held against what sha256sum and base64 say. */
#include "audit/chain.h"

#include <criterion/criterion.h>

#define START "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

Test(chain, begins_with_letters_a)
{
    struct chain *chain = chain_new();
    cr_expect_str_eq(chain_text(chain), START);
    chain_free(chain);
}

/* printf '%s%s' $START '{"v":1,"seq":1' | openssl dgst -sha256 -binary | base64; the second line behind that. */
Test(chain, is_what_other_tools_compute)
{
    static const char first[] = "1ghecU1VFoYUZK+9FAz15gfukp1GF+dQVuwyQKtq0QQ=", second[] = "dya7lN3HXCbLWHeTqOJxvFtpsb+DPgDbcYWMqKES61Y=";
    struct chain *chain = chain_new();
    cr_assert(chain_add(chain, "{\"v\":1,\"seq\":1", 14));
    cr_expect_str_eq(chain_text(chain), first);
    cr_assert(chain_add(chain, "{\"v\":1,\"seq\":2", 14));
    cr_expect_str_eq(chain_text(chain), second);
    chain_set(chain, first);
    cr_assert(chain_add(chain, "{\"v\":1,\"seq\":2", 14));
    cr_expect_str_eq(chain_text(chain), second);
    chain_set(chain, NULL);
    cr_assert(chain_add(chain, "{\"v\":1,\"seq\":1", 14));
    cr_expect_str_eq(chain_text(chain), first);
    chain_free(chain);
}
