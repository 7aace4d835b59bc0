-- Search.

-- name: jobs_before
SELECT number, {job} FROM observatory.jobs WHERE number < %(before)s ORDER BY number DESC LIMIT %(limit)s;

-- name: outputs
SELECT job_id, output FROM observatory.attempts WHERE job_id = ANY (%(ids)s::uuid[]) AND output IS NOT NULL;
