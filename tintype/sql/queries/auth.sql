-- name: add_user
select tintype.add_user($1, $2, $3, $4, $5, $6, $7, $8);

-- name: find_credentials
select * from tintype.find_credentials($1, $2);

-- name: open_session
select tintype.open_session($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: rotate_session
select tintype.rotate_session($1, $2, $3, $4);

-- name: find_session
select tintype.find_session($1, $2);

-- name: revoke_sessions
select tintype.revoke_sessions($1, $2, $3);

-- name: change_user
select tintype.change_user($1, $2, $3, $4);

-- name: remove_user
select tintype.remove_user($1, $2);

-- name: read_user
select tintype.read_user($1);

-- name: page_users
select tintype.page_users($1, $2);

-- name: find_user_id
select tintype.find_user_id($1);
