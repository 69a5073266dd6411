/* An application in C that writes all the time with statements that it compiled once, while a second
   connection reads: begun before a job, ended after it, when its input ends. It ends with 1 at the first error. */
#include <poll.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *path;
static volatile int over;

static void check(sqlite3 *db, int rc, const char *what) {
  if (rc == SQLITE_OK || rc == SQLITE_DONE || rc == SQLITE_ROW) return;
  printf("%s: %d %s\n", what, sqlite3_extended_errcode(db), sqlite3_errmsg(db));
  fflush(stdout);
  exit(1);
}

static sqlite3 *opened(void) {
  sqlite3 *db;
  check(db, sqlite3_open(path, &db), "open");
  sqlite3_busy_timeout(db, 30000);
  return db;
}

static sqlite3_stmt *compiled(sqlite3 *db, const char *sql) {
  sqlite3_stmt *s;
  check(db, sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &s, 0), sql);
  return s;
}

/* Reads half of the table, stays in the middle of it for a while, and reads the rest: all of it is of
   one moment. */
static void *reads(void *unused) {
  sqlite3 *db = opened();
  sqlite3_stmt *s = compiled(db, "SELECT id, n, (SELECT count(*) FROM t), (SELECT sum(n) FROM t) FROM t ORDER BY id");
  while (!over) {
    long rows = 0, sum = 0, allRows = 0, allSum = 0;
    int rc;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
      sum += sqlite3_column_int64(s, 1);
      allRows = sqlite3_column_int64(s, 2), allSum = sqlite3_column_int64(s, 3);
      if (++rows == 1500) usleep(30000);
    }
    check(db, rc, "read");
    check(db, sqlite3_reset(s), "reset");
    if (rows != allRows || sum != allSum) {
      printf("read %ld rows of %ld, sum %ld of %ld\n", rows, allRows, sum, allSum);
      fflush(stdout);
      exit(1);
    }
    usleep(20000);
  }
  return 0;
}

static int done(sqlite3 *db, sqlite3_stmt *s, long n) {
  sqlite3_bind_int64(s, 1, n);
  check(db, sqlite3_step(s), sqlite3_sql(s));
  check(db, sqlite3_reset(s), sqlite3_sql(s));
  return sqlite3_changes(db);
}

int main(int argc, char **argv) {
  long rows = 0, sum = 0;
  path = argv[1];
  sqlite3 *db = opened();
  sqlite3_stmt *insert = compiled(db, "INSERT INTO t (v) VALUES ('other' || ?1)"), *replace = compiled(db, "INSERT OR REPLACE INTO t (v, n) VALUES ('other' || ?1, 0)"),
               *update = compiled(db, "UPDATE t SET n = n + 1 WHERE id = ?1 % 3000 + 1"), *delete = compiled(db, "DELETE FROM t WHERE v = 'other' || (?1 - 3)");
  pthread_t reader;
  pthread_create(&reader, 0, reads, 0);
  printf("%s\n", sqlite3_libversion());
  fflush(stdout);
  for (long n = 1; !over; n++) {
    struct pollfd in = {.fd = 0, .events = POLLIN};
    over = poll(&in, 1, 0) > 0;
    rows += done(db, insert, n);
    done(db, replace, n);
    sum += done(db, update, n);
    rows -= done(db, delete, n);
    usleep(2000);
  }
  pthread_join(reader, 0);
  printf("%ld %ld\n", rows, sum);
  return 0;
}
