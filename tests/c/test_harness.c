/* The harness itself: a failed check must count, NaN must never be close, streams must repeat.
 * The failures made on purpose here print their lines; the counters are then put back.
 * SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

/* Takes back the failures since `before`; returns how many there were. */
static int64_t take_back(int64_t before)
{
    int64_t made = test_now.failures - before;
    test_now.failures = before;
    return made;
}

MTF_TEST(failed_checks_count)
{
    int64_t before = test_now.failures;
    CHECK(1 + 1 == 3);
    CHECK_CLOSE(1.0, 1.1, 0.05);
    CHECK_INT(4, 5);
    CHECK_TEXT("left", "right");
    CHECK_TEXT(NULL, "right");
    CHECK_BITS("ab", "ac", 2);
    CHECK_INT(take_back(before), 6);
}

MTF_TEST(nan_is_never_close)
{
    int64_t before = test_now.failures;
    CHECK_CLOSE(NAN, 0.0, 1e9);
    CHECK_CLOSE(0.0, NAN, 1e9);
    CHECK_CLOSE(NAN, NAN, INFINITY);
    CHECK_INT(take_back(before), 3);
    CHECK_CLOSE(INFINITY, INFINITY, 0.0);
}

MTF_TEST(random_stays_in_range)
{
    double lowest = 1.0;
    double highest = -1.0;
    for (int i = 0; i < 10000; i++) {
        double x = test_uniform(-1.0, 1.0);
        lowest = x < lowest ? x : lowest;
        highest = x > highest ? x : highest;
        int64_t n = test_integer(-2, 3);
        if (!CHECK(n >= -2 && n <= 3)) {
            return;
        }
    }
    CHECK(lowest >= -1.0 && lowest < -0.99);
    CHECK(highest < 1.0 && highest > 0.99);
}
