// What every throw-away server of ours runs with, be it for a drill or to replay a log. Docker's /dev/shm has 64 MB, so shared
// memory is mapped from files; nothing has to survive a crash; nothing may be reached but through its socket, run in parallel, or
// begin by itself and take memory away from the host.

/** The settings in common. */
export const throwAwaySettings = {
  listen_addresses: '',
  unix_socket_permissions: '0700',
  dynamic_shared_memory_type: 'mmap',
  shared_buffers: '64MB',
  maintenance_work_mem: '128MB',
  max_connections: '20',
  max_wal_senders: '0',
  fsync: 'off',
  full_page_writes: 'off',
  synchronous_commit: 'off',
  autovacuum: 'off',
  jit: 'off',
  max_parallel_workers: '0',
  huge_pages: 'off',
  logging_collector: 'off',
} as const;
