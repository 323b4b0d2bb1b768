/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Made by `make vmlinux` from vmlinux/types.list and the kernel's BTF: edit the list, not this file.
 * Structures hold only the members that the list names; CO-RE finds them in the running kernel by name.
 */
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#if defined(__TARGET_ARCH_x86)
#include "x86/regs.h"
#elif defined(__TARGET_ARCH_arm64)
#include "arm64/regs.h"
#else
#error "no register layout for this architecture: add it beside x86/regs.h"
#endif

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct bio_vec;
struct bpf_local_storage;
struct cgroup;
struct css_set;
struct fdtable;
struct file;
struct file_operations;
struct files_struct;
struct folio_queue;
struct inode;
struct io_uring_task;
struct kernfs_node;
struct kvec;
struct mm_struct;
struct net;
struct nsproxy;
struct seq_file;
struct sk_buff;
struct sock;
struct sock_common;
struct socket;
struct task_struct;
struct unix_sock;
struct xarray;

typedef unsigned char __u8;
typedef __u8 u8;
typedef short unsigned int __u16;
typedef __u16 u16;
typedef unsigned int __u32;
typedef __u32 u32;
typedef long long unsigned int __u64;
typedef __u64 u64;
typedef signed char __s8;
typedef __s8 s8;
typedef short int __s16;
typedef __s16 s16;
typedef int __s32;
typedef __s32 s32;
typedef long long int __s64;
typedef __s64 s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u32 __wsum;
typedef _Bool bool;
typedef long unsigned int __kernel_ulong_t;
typedef __kernel_ulong_t __kernel_size_t;
typedef __kernel_size_t size_t;
typedef long int __kernel_long_t;
typedef __kernel_long_t __kernel_ssize_t;
typedef __kernel_ssize_t ssize_t;
typedef int __kernel_pid_t;
typedef __kernel_pid_t pid_t;
typedef unsigned int __kernel_uid32_t;
typedef __kernel_uid32_t uid_t;
typedef unsigned int __kernel_gid32_t;
typedef __kernel_gid32_t gid_t;
typedef short unsigned int umode_t;
typedef long long int __kernel_loff_t;
typedef __kernel_loff_t loff_t;

enum {
    false = 0,
    true = 1,
};

enum {
    BPF_ANY = 0,
    BPF_NOEXIST = 1,
    BPF_EXIST = 2,
    BPF_F_LOCK = 4,
    BPF_F_NO_PREALLOC = 1,
    BPF_F_RDONLY = 8,
    BPF_F_WRONLY = 16,
    BPF_F_RDONLY_PROG = 128,
    BPF_F_WRONLY_PROG = 256,
    BPF_F_MMAPABLE = 1024,
    BPF_F_USER_STACK = 256,
    BPF_RB_NO_WAKEUP = 1,
    BPF_RB_FORCE_WAKEUP = 2,
    BPF_RB_AVAIL_DATA = 0,
    BPF_RB_RING_SIZE = 1,
    BPF_RB_CONS_POS = 2,
    BPF_RB_PROD_POS = 3,
    BPF_LOCAL_STORAGE_GET_F_CREATE = 1,
    BPF_SK_STORAGE_GET_F_CREATE = 1,
};

enum {
    BPF_F_INDEX_MASK = 4294967295ULL,
    BPF_F_CURRENT_CPU = 4294967295ULL,
};

enum bpf_map_type {
    BPF_MAP_TYPE_UNSPEC = 0,
    BPF_MAP_TYPE_HASH = 1,
    BPF_MAP_TYPE_ARRAY = 2,
    BPF_MAP_TYPE_PROG_ARRAY = 3,
    BPF_MAP_TYPE_PERF_EVENT_ARRAY = 4,
    BPF_MAP_TYPE_PERCPU_HASH = 5,
    BPF_MAP_TYPE_PERCPU_ARRAY = 6,
    BPF_MAP_TYPE_STACK_TRACE = 7,
    BPF_MAP_TYPE_CGROUP_ARRAY = 8,
    BPF_MAP_TYPE_LRU_HASH = 9,
    BPF_MAP_TYPE_LRU_PERCPU_HASH = 10,
    BPF_MAP_TYPE_LPM_TRIE = 11,
    BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
    BPF_MAP_TYPE_HASH_OF_MAPS = 13,
    BPF_MAP_TYPE_DEVMAP = 14,
    BPF_MAP_TYPE_SOCKMAP = 15,
    BPF_MAP_TYPE_CPUMAP = 16,
    BPF_MAP_TYPE_XSKMAP = 17,
    BPF_MAP_TYPE_SOCKHASH = 18,
    BPF_MAP_TYPE_CGROUP_STORAGE_DEPRECATED = 19,
    BPF_MAP_TYPE_CGROUP_STORAGE = 19,
    BPF_MAP_TYPE_REUSEPORT_SOCKARRAY = 20,
    BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE_DEPRECATED = 21,
    BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE = 21,
    BPF_MAP_TYPE_QUEUE = 22,
    BPF_MAP_TYPE_STACK = 23,
    BPF_MAP_TYPE_SK_STORAGE = 24,
    BPF_MAP_TYPE_DEVMAP_HASH = 25,
    BPF_MAP_TYPE_STRUCT_OPS = 26,
    BPF_MAP_TYPE_RINGBUF = 27,
    BPF_MAP_TYPE_INODE_STORAGE = 28,
    BPF_MAP_TYPE_TASK_STORAGE = 29,
    BPF_MAP_TYPE_BLOOM_FILTER = 30,
    BPF_MAP_TYPE_USER_RINGBUF = 31,
    BPF_MAP_TYPE_CGRP_STORAGE = 32,
    BPF_MAP_TYPE_ARENA = 33,
    __MAX_BPF_MAP_TYPE = 34,
};

struct bpf_spin_lock {
    __u32 val;
};
_Static_assert(sizeof(struct bpf_spin_lock) == 4, "bpf_spin_lock");

struct bpf_timer {
    __u64 __opaque[2];
};
_Static_assert(sizeof(struct bpf_timer) == 16, "bpf_timer");

struct bpf_map {
    u32 id;
};

struct bpf_iter_meta {
    union {
        struct seq_file *seq;
    };
    u64 session_id;
    u64 seq_num;
};
_Static_assert(sizeof(struct bpf_iter_meta) == 24, "bpf_iter_meta");

struct bpf_iter__task {
    union {
        struct bpf_iter_meta *meta;
    };
    union {
        struct task_struct *task;
    };
};
_Static_assert(sizeof(struct bpf_iter__task) == 16, "bpf_iter__task");

struct bpf_iter__task_file {
    union {
        struct bpf_iter_meta *meta;
    };
    union {
        struct task_struct *task;
    };
    u32 fd;
    union {
        struct file *file;
    };
};
_Static_assert(sizeof(struct bpf_iter__task_file) == 32, "bpf_iter__task_file");

struct bpf_iter__tcp {
    union {
        struct bpf_iter_meta *meta;
    };
    union {
        struct sock_common *sk_common;
    };
    uid_t uid;
};
_Static_assert(sizeof(struct bpf_iter__tcp) == 24, "bpf_iter__tcp");

struct bpf_iter__unix {
    union {
        struct bpf_iter_meta *meta;
    };
    union {
        struct unix_sock *unix_sk;
    };
    uid_t uid;
};
_Static_assert(sizeof(struct bpf_iter__unix) == 24, "bpf_iter__unix");

struct bpf_iter__bpf_map_elem {
    union {
        struct bpf_iter_meta *meta;
    };
    union {
        struct bpf_map *map;
    };
    union {
        void *key;
    };
    union {
        void *value;
    };
};
_Static_assert(sizeof(struct bpf_iter__bpf_map_elem) == 32, "bpf_iter__bpf_map_elem");

struct bpf_iter__bpf_sk_storage_map {
    union {
        struct bpf_iter_meta *meta;
    };
    union {
        struct bpf_map *map;
    };
    union {
        struct sock *sk;
    };
    union {
        void *value;
    };
};
_Static_assert(sizeof(struct bpf_iter__bpf_sk_storage_map) == 32, "bpf_iter__bpf_sk_storage_map");

struct seq_file {
    void *private;
};

struct thread_info {
    long unsigned int flags;
    u32 status;
};

struct sched_info {
    long long unsigned int run_delay;
};

struct task_struct {
    unsigned int flags;
    unsigned int __state;
    int on_rq;
    int exit_code;
    unsigned int in_iowait : 1;
    pid_t pid;
    pid_t tgid;
    struct task_struct *group_leader;
    struct task_struct *real_parent;
    char comm[16];
    void *stack;
    u64 start_time;
    u64 start_boottime;
    struct mm_struct *mm;
    struct files_struct *files;
    struct io_uring_task *io_uring;
    struct nsproxy *nsproxy;
    struct css_set *cgroups;
    struct bpf_local_storage *bpf_storage;
    struct thread_info thread_info;
    struct sched_info sched_info;
    volatile long int state;
};

struct nsproxy {
    struct net *net_ns;
};

struct css_set {
    struct cgroup *dfl_cgrp;
};

struct cgroup {
    struct kernfs_node *kn;
    int level;
};

struct kernfs_node {
    u64 id;
};

struct trace_entry {
    short unsigned int type;
    unsigned char flags;
    unsigned char preempt_count;
    int pid;
};
_Static_assert(sizeof(struct trace_entry) == 8, "trace_entry");

struct trace_event_raw_sys_exit {
    struct trace_entry ent;
    long int id;
    long int ret;
    char __data[0];
};
_Static_assert(sizeof(struct trace_event_raw_sys_exit) == 24, "trace_event_raw_sys_exit");

struct files_struct {
    struct fdtable *fdt;
};

struct fdtable {
    unsigned int max_fds;
    struct file **fd;
};

struct file {
    const struct file_operations *f_op;
    struct inode *f_inode;
    void *private_data;
};

struct inode {
    umode_t i_mode;
    long unsigned int i_ino;
};

struct in6_addr {
    union {
        __u8 u6_addr8[16];
        __be16 u6_addr16[8];
        __be32 u6_addr32[4];
    } in6_u;
};
_Static_assert(sizeof(struct in6_addr) == 16, "in6_addr");

struct ns_common {
    unsigned int inum;
};

struct net {
    struct ns_common ns;
};

typedef __u64 __addrpair;
typedef __u32 __portpair;

typedef struct {
    struct net *net;
} possible_net_t;

typedef struct {
    s64 counter;
} atomic64_t;

struct sock_common {
    __addrpair skc_addrpair;
    __be32 skc_daddr;
    __be32 skc_rcv_saddr;
    unsigned int skc_hash;
    __portpair skc_portpair;
    __be16 skc_dport;
    __u16 skc_num;
    short unsigned int skc_family;
    volatile unsigned char skc_state;
    possible_net_t skc_net;
    struct in6_addr skc_v6_daddr;
    struct in6_addr skc_v6_rcv_saddr;
    atomic64_t skc_cookie;
};

struct sk_buff_head {
    __u32 qlen;
};

typedef struct {
    int counter;
} atomic_t;

struct qspinlock {
    union {
        atomic_t val;
        struct {
            u8 locked;
            u8 pending;
        };
        struct {
            u16 locked_pending;
            u16 tail;
        };
    };
};

typedef struct qspinlock arch_spinlock_t;

struct raw_spinlock {
    arch_spinlock_t raw_lock;
};

struct spinlock {
    union {
        struct raw_spinlock rlock;
    };
};

typedef struct spinlock spinlock_t;

struct list_head {
    struct list_head *next;
    struct list_head *prev;
};

struct wait_queue_head {
    spinlock_t lock;
    struct list_head head;
};

typedef struct wait_queue_head wait_queue_head_t;

typedef struct {
    spinlock_t slock;
    int owned;
    wait_queue_head_t wq;
} socket_lock_t;

struct sock {
    struct sock_common __sk_common;
    struct sk_buff_head sk_receive_queue;
    struct {
        atomic_t rmem_alloc;
        int len;
        struct sk_buff *head;
        struct sk_buff *tail;
    } sk_backlog;
    int sk_rcvlowat;
    int sk_err;
    struct socket *sk_socket;
    u32 sk_pacing_status;
    long unsigned int sk_max_pacing_rate;
    u16 sk_protocol;
    u16 sk_type;
    u8 sk_shutdown;
    struct bpf_local_storage *sk_bpf_storage;
    socket_lock_t sk_lock;
};

struct inet_sock {
    struct sock sk;
};

struct inet_connection_sock {
    struct inet_sock icsk_inet;
    struct {
        __u8 pending;
        __u8 quick;
        __u8 pingpong;
        __u8 retry;
        __u32 ato : 8;
        __u32 lrcv_flowlabel : 20;
        __u32 dst_quick_ack : 1;
        __u32 unused : 3;
        __u32 lrcvtime;
        __u16 last_seg_size;
        __u16 rcv_mss;
    } icsk_ack;
};

struct tcp_rack {
    u64 mstamp;
    u32 end_seq;
};

struct tcp_sock {
    struct inet_connection_sock inet_conn;
    u32 copied_seq;
    u32 rcv_nxt;
    u32 snd_una;
    u32 snd_nxt;
    u32 write_seq;
    u64 bytes_received;
    u64 bytes_sent;
    u64 tcp_wstamp_ns;
    u64 tcp_clock_cache;
    struct tcp_rack rack;
};

struct request_sock {
    struct sock_common __req_common;
};

typedef short unsigned int __kernel_sa_family_t;

struct sockaddr_un {
    __kernel_sa_family_t sun_family;
    char sun_path[108];
};
_Static_assert(sizeof(struct sockaddr_un) == 110, "sockaddr_un");

struct unix_address {
    int len;
    struct sockaddr_un name[0];
};

struct unix_sock {
    struct sock sk;
    struct unix_address *addr;
    struct sock *peer;
};

typedef enum {
    SS_FREE = 0,
    SS_UNCONNECTED = 1,
    SS_CONNECTING = 2,
    SS_CONNECTED = 3,
    SS_DISCONNECTING = 4,
} socket_state;

struct socket {
    socket_state state;
    short int type;
    struct file *file;
    struct sock *sk;
};

struct socket_alloc {
    struct socket socket;
    struct inode vfs_inode;
};

struct sk_buff {
    struct sock *sk;
    unsigned int len;
    char cb[48];
};

typedef __kernel_sa_family_t sa_family_t;

struct sockaddr {
    sa_family_t sa_family;
    union {
        char sa_data_min[14];
        struct {
            struct {
            } __empty_sa_data;
            char sa_data[0];
        };
    };
};
_Static_assert(sizeof(struct sockaddr) == 16, "sockaddr");

struct iovec {
    void *iov_base;
    __kernel_size_t iov_len;
};
_Static_assert(sizeof(struct iovec) == 16, "iovec");

struct user_msghdr {
    void *msg_name;
    int msg_namelen;
    struct iovec *msg_iov;
    __kernel_size_t msg_iovlen;
    void *msg_control;
    __kernel_size_t msg_controllen;
    unsigned int msg_flags;
};
_Static_assert(sizeof(struct user_msghdr) == 56, "user_msghdr");

struct mmsghdr {
    struct user_msghdr msg_hdr;
    unsigned int msg_len;
};
_Static_assert(sizeof(struct mmsghdr) == 64, "mmsghdr");

struct iov_iter {
    u8 iter_type;
    bool nofault;
    bool data_source;
    size_t iov_offset;
    union {
        struct iovec __ubuf_iovec;
        struct {
            union {
                const struct iovec *__iov;
                const struct kvec *kvec;
                const struct bio_vec *bvec;
                const struct folio_queue *folioq;
                struct xarray *xarray;
                void *ubuf;
            };
            size_t count;
        };
    };
    union {
        long unsigned int nr_segs;
        u8 folioq_slot;
        loff_t xarray_start;
    };
};
_Static_assert(sizeof(struct iov_iter) == 40, "iov_iter");

struct msghdr {
    struct iov_iter msg_iter;
    unsigned int msg_flags;
};

#pragma clang attribute pop

#endif
