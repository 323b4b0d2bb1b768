// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdlib.h>
#include <string.h>

#include "base/varint.h"
#include "serve/message.h"

/*
 * An alert as bytes: state, no_data, the value's bits (eight bytes, lowest first), the three times, the id, the name,
 * the labels, the annotations. Numbers are varints; a string is its length, its bytes and a NUL; labels are preceded by
 * their number.
 */

static void put_number(struct sj_out *out, uint64_t v)
{
    char *room = sj_out_reserve(out, SJ_VARINT_MAX);
    out->len += sj_varint_put((uint8_t *)room, v);
}

static void put_string(struct sj_out *out, const char *text)
{
    size_t n = strlen(text);
    put_number(out, n);
    sj_out_write(out, text, n + 1);
}

static void put_labels(struct sj_out *out, const struct sj_labels *l)
{
    put_number(out, l->n);
    for (size_t i = 0; i < l->n; i++) {
        put_string(out, l->v[i].name);
        put_string(out, l->v[i].value);
    }
}

void sj_message_put_alert(struct sj_out *out, const struct sj_alert *alert)
{
    uint64_t bits;
    memcpy(&bits, &alert->value, sizeof(bits));
    put_number(out, (uint64_t)alert->state);
    put_number(out, alert->no_data);
    for (int i = 0; i < 8; i++)
        sj_out_write(out, &(char){(char)(bits >> 8 * i)}, 1);
    put_number(out, alert->active_real_ns);
    put_number(out, alert->starts_real_ns);
    put_number(out, alert->ends_real_ns);
    put_string(out, alert->id);
    put_string(out, alert->name);
    put_labels(out, &alert->labels);
    put_labels(out, &alert->annotations);
}

struct reader {
    const uint8_t *p;
    const uint8_t *end;
    bool bad;
};

static uint64_t get_number(struct reader *r, uint64_t max)
{
    uint64_t v = 0;
    r->bad = r->bad || !sj_varint_get_max(&r->p, r->end, max, &v);
    return r->bad ? 0 : v;
}

static double get_value(struct reader *r)
{
    uint64_t bits = 0;
    double value = 0;
    r->bad = r->bad || r->end - r->p < 8;
    if (r->bad)
        return 0;
    for (int i = 0; i < 8; i++)
        bits |= (uint64_t)*r->p++ << 8 * i;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* A string that lies in the data, with its NUL and no other one. */
static const char *get_string(struct reader *r)
{
    uint64_t n = get_number(r, SJ_MESSAGE_MAX);
    r->bad = r->bad || n >= (uint64_t)(r->end - r->p) || memchr(r->p, 0, n + 1) != r->p + n;
    if (r->bad)
        return "";
    const char *text = (const char *)r->p;
    r->p += n + 1;
    return text;
}

/* Labels are walked twice: first to see that they are whole, and how many they are. */
static size_t skip_labels(struct reader *r)
{
    uint64_t n = get_number(r, SJ_MESSAGE_MAX);
    for (uint64_t i = 0; i < n && !r->bad; i++) {
        get_string(r);
        get_string(r);
    }
    return r->bad ? 0 : (size_t)n;
}

static void get_labels(struct reader *r, struct sj_label *room, struct sj_labels *out)
{
    out->n = (size_t)get_number(r, SJ_MESSAGE_MAX);
    out->v = out->n ? room : NULL;
    for (size_t i = 0; i < out->n && !r->bad; i++) {
        out->v[i].name = get_string(r);
        out->v[i].value = get_string(r);
        r->bad = r->bad || !out->v[i].name[0] || (i > 0 && strcmp(out->v[i - 1].name, out->v[i].name) >= 0);
    }
}

static void get_id(struct reader *r, char id[SJ_ALERT_ID_SIZE])
{
    const char *text = get_string(r);
    size_t n = strlen(text);
    r->bad = r->bad || n == 0 || n >= SJ_ALERT_ID_SIZE || strspn(text, "0123456789abcdef") != n;
    if (!r->bad)
        memcpy(id, text, n + 1);
}

int sj_message_get_alert(const void *data, size_t n, struct sj_alert *alert, void **room, struct sj_err *err)
{
    struct reader r = {.p = data, .end = (const uint8_t *)data + n};
    struct sj_alert a = {.state = SJ_ALERT_INACTIVE};
    a.state = (enum sj_alert_state)get_number(&r, SJ_ALERT_MAX_ - 1);
    a.no_data = get_number(&r, 1);
    a.value = get_value(&r);
    a.active_real_ns = get_number(&r, UINT64_MAX);
    a.starts_real_ns = get_number(&r, UINT64_MAX);
    a.ends_real_ns = get_number(&r, UINT64_MAX);
    get_id(&r, a.id);
    a.name = get_string(&r);

    struct reader ahead = r;
    size_t labels = skip_labels(&ahead), all = labels + skip_labels(&ahead);
    if (ahead.bad || ahead.p != ahead.end)
        return sj_fail(err, EX_DATAERR, "an alert is damaged");
    struct sj_label *v = calloc(all ? all : 1, sizeof(*v));
    if (!v)
        return sj_fail(err, EX_OSERR, "out of memory");
    get_labels(&r, v, &a.labels);
    get_labels(&r, v + labels, &a.annotations);
    if (r.bad) {
        free(v);
        return sj_fail(err, EX_DATAERR, "an alert is damaged");
    }
    *alert = a;
    *room = v;
    return 0;
}
